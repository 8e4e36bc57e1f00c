package attack_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const revokingCaddyfile = `{
	gatehouse {
		issuer idp $ISSUER {
			audience https://api.example.com
		}
		client gateway {
			issuer idp
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read
		}
	}
}
$SITE {
	handle /plain/* {
		token_auth
		reverse_proxy $UPSTREAM
	}
	handle /optional/* {
		token_auth {
			optional
		}
		reverse_proxy $UPSTREAM
	}
	handle /orders/* {
		token_auth
		token_require scope orders:read
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /cookie/* {
		token_auth {
			from cookie session
		}
		reverse_proxy $UPSTREAM
	}
	handle /forward/* {
		token_auth {
			forward_token
		}
		reverse_proxy $UPSTREAM
	}
	handle_errors {
		reverse_proxy $ERRORS
	}
}
`

func revokeToken(t *testing.T, gateway *harness.Gateway, order string) {
	t.Helper()
	answer, err := http.Post(gateway.Admin+"/gatehouse/revocations", "application/json", strings.NewReader(order))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Fatalf("revoking: status %d, %s", answer.StatusCode, text)
	}
}

// A revoked token opens no door, however it was remembered and whatever else the door
// lets in; with optional it is not nobody's. Nothing of it reaches an upstream, that of
// error routes included, and the caller is told no more than of any other bad token.
func TestAttack36RevokedTokenIsNotNobody(t *testing.T) {
	idp, upstream, errors := harness.NewAuthServer(t), harness.NewUpstream(t), harness.NewUpstream(t)
	gateway := harness.Start(t, revokingCaddyfile, "$ISSUER", idp.URL, "$UPSTREAM", upstream.Address, "$ERRORS", errors.Address)
	errors.Respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	paths := []string{"/plain/", "/optional/", "/orders/", "/cookie/", "/forward/"}
	send := func(method, path, token string) harness.Answer {
		request := gateway.Request(method, path, token)
		if path == "/cookie/" {
			request.Header.Del("Authorization")
			request.Header.Set("Cookie", "session="+token)
			request.Header.Set("Sec-Fetch-Site", "same-origin")
		}
		return gateway.Do(request)
	}
	tokens := map[string]string{
		"jti":     idp.Token(map[string]any{"jti": "canary-jti", "sub": "one"}),
		"subject": idp.Token(map[string]any{"sub": "canary-subject"}),
		"session": idp.Token(map[string]any{"sid": "canary-session", "sub": "three"}),
		"client":  idp.Token(map[string]any{"client_id": "canary-client", "sub": "four"}),
	}
	gateway.Await("/plain/", tokens["jti"], http.StatusOK)
	for _, token := range tokens {
		for _, path := range paths {
			send(http.MethodGet, path, token).Expect(t, http.StatusOK)
		}
	}
	for kind := range tokens {
		revokeToken(t, gateway, `{"kind": "`+kind+`", "issuer": "`+idp.URL+`", "value": "canary-`+kind+`", "reason": "canary-reason"}`)
	}
	reached := len(upstream.Received())
	for kind, token := range tokens {
		for _, path := range paths {
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
				answer := send(method, path, token).Expect(t, http.StatusUnauthorized)
				challenge := answer.Header.Get("WWW-Authenticate")
				if !strings.Contains(challenge, `error="invalid_token"`) || strings.Contains(challenge+answer.Body, "canary") ||
					strings.Contains(challenge+answer.Body, "revo") {
					t.Errorf("%s, %s %s: %q, %s", kind, method, path, challenge, answer.Body)
				}
			}
		}
	}
	if n := len(upstream.Received()) - reached; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	for _, request := range errors.Received() {
		for _, token := range tokens {
			if request.Holds(token) {
				t.Error("a revoked token reached the upstream of error pages")
			}
		}
	}
	send(http.MethodGet, "/plain/", idp.Token(map[string]any{"sub": "somebody else"})).Expect(t, http.StatusOK)
}
