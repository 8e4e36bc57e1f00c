package attack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A remote is a gateway with exchanges of every kind.
type remote struct {
	*harness.Gateway

	idp      *harness.AuthServer
	upstream *harness.Upstream
}

func newRemote(t *testing.T) remote {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, `{
	gatehouse {
`+harness.MainAndClient+`		exchange plain {
			client gateway
			audience plain
		}
		exchange verified {
			client gateway
			audience verified
			accept {
				verify main
			}
		}
		exchange assertion {
			grant jwt_bearer
			client gateway
			audience assertion
		}
		exchange own {
			grant client_credentials
			client gateway
			audience own
			scope_exact power
		}
		exchange open {
			grant client_credentials
			client gateway
			audience open
			scope_exact little
			anonymous
		}
	}
}
$SITE {
	handle /unguarded {
		token_exchange own
		reverse_proxy $UPSTREAM
	}
	handle {
		token_auth main {
			optional
		}
		handle /plain {
			token_exchange plain
			reverse_proxy $UPSTREAM
		}
		handle /verified {
			token_exchange verified
			reverse_proxy $UPSTREAM
		}
		handle /assertion {
			token_exchange assertion
			reverse_proxy $UPSTREAM
		}
		handle /own {
			token_exchange own
			reverse_proxy $UPSTREAM
		}
		handle /shadowed {
			token_require {
				scope admin
				shadow
			}
			token_exchange own
			reverse_proxy $UPSTREAM
		}
		handle /shadowed/behind {
			token_exchange own
			handle {
				token_require {
					scope admin
					shadow
				}
				reverse_proxy $UPSTREAM
			}
		}
		handle /shadowed/exchanged {
			token_require {
				scope admin
				shadow
			}
			token_exchange plain
			reverse_proxy $UPSTREAM
		}
		handle /open {
			token_exchange open
			reverse_proxy $UPSTREAM
		}
		handle {
			reverse_proxy $UPSTREAM
		}
	}
}
`, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	return remote{gateway, idp, upstream}
}

// answering makes the server issue with changes to the answer and to its token.
func (r remote) answering(answer, claims map[string]any) {
	r.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		members := r.idp.Issued(form, nil)
		if claims != nil {
			all := map[string]any{"aud": form.Get("audience"), "client_id": harness.ClientID, "scope": nil}
			maps.Copy(all, claims)
			members["access_token"] = r.idp.Token(all)
		}
		maps.Copy(members, answer)
		_ = json.NewEncoder(w).Encode(members)
	})
}

// An issued token that is for somebody else, somewhere else or over is seen where
// the configuration asks to look.
func TestAttack45VerifiedAnswer(t *testing.T) {
	r := newRemote(t)
	past := time.Now().Add(-time.Hour).Unix()
	for name, test := range map[string]struct {
		answer, claims map[string]any
		status         int
	}{
		"as asked":        {nil, map[string]any{}, 200},
		"another subject": {nil, map[string]any{"sub": "mallory"}, 502},
		"no subject":      {nil, map[string]any{"sub": ""}, 502},
		"another aud":     {nil, map[string]any{"aud": "payments"}, 502},
		"another issuer":  {nil, map[string]any{"iss": "https://evil.example"}, 502},
		"expired":         {nil, map[string]any{"exp": past, "iat": past - 60}, 502},
		"an ID token":     {nil, map[string]any{"nonce": "n"}, 502},
		"opaque":          {map[string]any{"access_token": "opaque"}, nil, 502},
		"unsigned":        {map[string]any{"access_token": "eyJhbGciOiJub25lIn0.e30."}, nil, 502},
	} {
		t.Run(name, func(t *testing.T) {
			r.answering(test.answer, test.claims)
			reached := len(r.upstream.Received())
			r.Get("/verified", r.idp.Token(map[string]any{"jti": name, "scope": nil})).Expect(t, test.status)
			if passed := len(r.upstream.Received()) > reached; passed != (test.status == http.StatusOK) {
				t.Errorf("the upstream was reached: %v", passed)
			}
		})
	}
}

// A connection that breaks after the request was sent: an assertion may be good
// once, so it is not sent again; nor is what changes something upstream.
func TestAttack34NothingIsRepeated(t *testing.T) {
	r := newRemote(t)
	hangUp := func(w http.ResponseWriter) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = conn.Close()
		}
	}
	r.idp.Answer(func(_ url.Values, w http.ResponseWriter) { hangUp(w) })
	before := len(r.idp.Forms())
	r.Get("/assertion", r.idp.Token(map[string]any{"jti": "34", "scope": nil})).Expect(t, http.StatusServiceUnavailable)
	if n := len(r.idp.Forms()) - before; n != 1 {
		t.Errorf("the assertion was sent %d times", n)
	}
	r.idp.Answer(nil)
	r.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) { hangUp(w) })
	reached := len(r.upstream.Received())
	request := r.Request(http.MethodPost, "/plain", r.idp.Token(map[string]any{"jti": "34b"}))
	request.Body, request.ContentLength = io.NopCloser(strings.NewReader("pay 100")), int64(len("pay 100"))
	r.Do(request).Expect(t, http.StatusBadGateway)
	if n := len(r.upstream.Received()) - reached; n != 1 {
		t.Errorf("the POST arrived %d times", n)
	}
}

// Once an upstream has refused a token nobody gets it any more, whoever was on the
// way at that moment.
func TestAttack46RefusedTokenIsForgotten(t *testing.T) {
	r := newRemote(t)
	var mu sync.Mutex
	issued := 0
	r.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		mu.Lock()
		issued++
		token := fmt.Sprint("issued-", issued)
		mu.Unlock()
		_ = json.NewEncoder(w).Encode(r.idp.Issued(form, map[string]any{"access_token": token, "scope": nil}))
	})
	r.upstream.Respond(func(w http.ResponseWriter, request *http.Request) {
		if request.Header.Get("Authorization") == "Bearer issued-1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	token := r.idp.Token(map[string]any{"jti": "46"})
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() { r.Get("/plain", token).Expect(t, http.StatusOK) })
	}
	callers.Wait()
	reached := len(r.upstream.Received())
	for range 5 {
		r.Get("/plain", token).Expect(t, http.StatusOK)
	}
	for _, got := range r.upstream.Received()[reached:] {
		if got.Bearer() == "issued-1" {
			t.Error("the refused token was handed out again")
		}
	}
	if issued > 2 {
		t.Errorf("%d tokens for one caller", issued)
	}
}

// The gateway's own power is for callers that it knows, unless the configuration
// says otherwise; and for none whom a rule, though in shadow, would have denied.
func TestAttack52NobodyWithTheGatewaysPower(t *testing.T) {
	r := newRemote(t)
	reached, calls := len(r.upstream.Received()), len(r.idp.Forms())
	r.Get("/own", "").Expect(t, http.StatusUnauthorized)
	r.Get("/unguarded", "").Expect(t, http.StatusInternalServerError)
	r.Get("/unguarded", r.idp.Token(nil)).Expect(t, http.StatusInternalServerError)
	r.Get("/open", "not.a.token").Expect(t, http.StatusUnauthorized)
	r.Get("/shadowed", "").Expect(t, http.StatusUnauthorized)
	r.Get("/shadowed", r.idp.Token(map[string]any{"scope": "orders:read"})).Expect(t, http.StatusForbidden)
	if made, arrived := len(r.idp.Forms())-calls, len(r.upstream.Received())-reached; made != 0 || arrived != 0 {
		t.Errorf("%d calls, %d requests upstream", made, arrived)
	}
	r.Get("/open", "").Expect(t, http.StatusOK)
	before := len(r.upstream.Received())
	r.Get("/shadowed/behind", r.idp.Token(map[string]any{"scope": "orders:read"})).Expect(t, http.StatusForbidden)
	if arrived := len(r.upstream.Received()) - before; arrived != 0 {
		t.Errorf("%d requests upstream that a rule behind the exchange would have denied", arrived)
	}
	if claims := harness.Claims(t, r.upstream.Last(t).Bearer()); claims["scope"] != "little" {
		t.Errorf("nobody got %v", claims)
	}
	r.Get("/own", r.idp.Token(nil)).Expect(t, http.StatusOK)
	r.Get("/shadowed", r.idp.Token(map[string]any{"scope": "admin"})).Expect(t, http.StatusOK)
	r.Get("/shadowed/exchanged", r.idp.Token(map[string]any{"jti": "52", "scope": nil})).Expect(t, http.StatusOK)
}
