package integration_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

var toldUpstream = expected{status: 502, code: "server_error", text: "The service behind the gateway refused the gateway's token."}

// distrust makes the upstream refuse tokens until it has seen so many different
// ones, with a challenge of its own.
func distrust(site exchangeSite, first int) {
	site.idp.Answer(func() func(form url.Values, w http.ResponseWriter) {
		n := 0
		return func(_ url.Values, w http.ResponseWriter) {
			n++
			claims := map[string]any{"aud": "a", "jti": fmt.Sprint("issued ", n), "scope": nil}
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","issued_token_type":%q,"expires_in":120}`,
				site.idp.Token(claims), accessTokenType)
		}
	}())
	seen := map[string]bool{}
	site.upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		seen[r.Header.Get("Authorization")] = true
		if len(seen) <= first {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token", realm="canary-upstream"`)
			w.Header().Set("X-Upstream", "canary-upstream")
			w.Header().Add("Vary", "X-Upstream")
			w.WriteHeader(http.StatusUnauthorized)
			if flusher, ok := w.(http.Flusher); ok {
				flusher.Flush()
			}
			_, _ = io.WriteString(w, "canary-upstream says no")
			return
		}
		w.Header().Set("X-Path", r.URL.RequestURI())
		_, _ = io.WriteString(w, "yes")
	})
}

// The upstream refuses the token that was made for it: another one is asked for,
// and the request sent once more where that is safe (section 5).
func TestExchangeUpstream401(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		method, body   string
		refused        int // how many tokens the upstream refuses
		status         int
		calls, arrived int
	}{
		"GET":                    {http.MethodGet, "", 1, 200, 2, 2},
		"DELETE":                 {http.MethodDelete, "", 1, 200, 2, 2},
		"GET, refused again":     {http.MethodGet, "", 2, 502, 2, 2},
		"POST":                   {http.MethodPost, "", 1, 502, 2, 1},
		"PUT with a body":        {http.MethodPut, "canary-body", 1, 502, 2, 1},
		"GET, nothing to refuse": {http.MethodGet, "", 0, 200, 1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			site := exchangesSite(t, map[string]string{"x": "audience a"})
			distrust(site, test.refused)
			reached := len(site.upstream.Received())
			token := site.idp.Token(map[string]any{"jti": name})
			request := site.Request(test.method, "/x?a=b", token)
			if test.body != "" {
				request.Body, request.ContentLength = io.NopCloser(strings.NewReader(test.body)), int64(len(test.body))
			}
			got := site.Do(request).Expect(t, test.status)
			if test.status == http.StatusBadGateway {
				toldUpstream.expect(t, got, false, test.method)
			} else if got.Body != "yes" || got.Header.Get("X-Path") != "/x?a=b" {
				t.Errorf("the answer is %v", got)
			}
			if calls, arrived := len(site.idp.Forms()), len(site.upstream.Received())-reached; calls != test.calls || arrived != test.arrived {
				t.Errorf("%d calls and %d requests upstream, want %d and %d", calls, arrived, test.calls, test.arrived)
			}
			expectHeader(t, got, "WWW-Authenticate")
			expectNowhere(t, site.Gateway, site.upstream, got, token)
			if header := fmt.Sprint(got.Header, got.Body); strings.Contains(header, "canary-upstream") || strings.Contains(header, "X-Upstream") {
				t.Errorf("the refusal got out: %s", header)
			}
		})
	}
}

// An upstream that refuses everything does not make each request a call.
func TestExchangeUpstream401IsBounded(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"x": "audience a"})
	distrust(site, 1000)
	token := site.idp.Token(map[string]any{"jti": "again"})
	for range 5 {
		toldUpstream.expect(t, site.Get("/x", token), false, http.MethodGet)
	}
	if n := len(site.idp.Forms()); n != 2 {
		t.Errorf("%d calls for five requests, want 2", n)
	}
}

// Sent once more, a request takes the same route: Caddy notes which of several
// alternatives it took, and rewrites the path in place.
func TestExchangeUpstream401TakesTheSameRoute(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, `{
	gatehouse {
`+harness.MainAndClient+`		exchange x {
			client gateway
			audience a
		}
	}
}
$SITE {
	token_auth
	token_exchange x
	handle_path /api/* {
		rewrite * /v1{uri}
		reverse_proxy $UPSTREAM
	}
	handle {
		respond "another route"
	}
}
`, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	site := exchangeSite{gateway, idp, upstream}
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	distrust(site, 1)
	got := gateway.Get("/api/orders?a=b", idp.Token(map[string]any{"jti": "route"})).Expect(t, http.StatusOK)
	if got.Body != "yes" || got.Header.Get("X-Path") != "/v1/orders?a=b" {
		t.Errorf("sent once more it became %v", got)
	}
}

// Whatever else an upstream answers passes as it comes: streams, upgrades, a 403.
func TestExchangeUpstreamAnswersPass(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"x": "audience a"})
	token := site.idp.Token(map[string]any{"jti": "pass"})
	site.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "no")
	})
	if got := site.Get("/x", token).Expect(t, http.StatusForbidden); got.Body != "no" || got.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("a 403 became %v", got)
	}

	next := make(chan struct{})
	site.upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 2 {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
			}
		}
	})
	answer, err := http.DefaultTransport.RoundTrip(site.Request(http.MethodGet, "/x", token))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	first := make([]byte, len("data: x\n\n"))
	if _, err := io.ReadFull(answer.Body, first); err != nil {
		t.Fatalf("the first event did not come while the stream was open: %v", err)
	}
	close(next)

	upgraded(t, site, token)
}

// upgraded speaks another protocol through the gateway.
func upgraded(t *testing.T, site exchangeSite, token string) {
	t.Helper()
	site.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := buffer.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
	})
	request := site.Request(http.MethodGet, "/x", token)
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", "echo")
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	stream, ok := answer.Body.(io.ReadWriteCloser)
	if answer.StatusCode != http.StatusSwitchingProtocols || !ok {
		t.Fatalf("the upgrade is answered with %d", answer.StatusCode)
	}
	defer func() { _ = stream.Close() }()
	_, _ = io.WriteString(stream, "hello\n")
	line := make([]byte, len("echo hello\n"))
	if _, err := io.ReadFull(stream, line); err != nil || string(line) != "echo hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// A directive behind the exchange refuses the caller with 401: that is no upstream's
// word about a token, and the caller is told what would help.
func TestExchangeUpstream401IsNotTheGateways(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, `{
	gatehouse {
`+harness.MainAndClient+`		exchange first {
			client gateway
			audience first
		}
		exchange second {
			client gateway
			audience second
			inject X-Token
		}
	}
}
$SITE {
	token_auth
	handle / {
		respond in
	}
	handle /* {
		token_exchange first
		handle /payments {
			token_require {
				acr gold
			}
			reverse_proxy $UPSTREAM
		}
		handle /both {
			token_exchange second
			reverse_proxy $UPSTREAM
		}
	}
}
`, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	idp.Answer(func(form url.Values, w http.ResponseWriter) {
		if form.Get("audience") == "second" {
			refusalWith(http.StatusBadRequest, "invalid_grant")(form, w)
			return
		}
		_ = json.NewEncoder(w).Encode(idp.Issued(form, nil))
	})
	got := gateway.Get("/payments", idp.Token(map[string]any{"jti": "payments"})).Expect(t, http.StatusUnauthorized)
	if challenge := got.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `acr_values="gold"`) {
		t.Errorf("the challenge is %q", challenge)
	}
	toldRejected.expect(t, gateway.Get("/both", idp.Token(map[string]any{"jti": "both"})), false, http.MethodGet)
	if n := len(idp.Forms()); n != 3 {
		t.Errorf("%d calls, want one for each exchange of each request", n)
	}
}
