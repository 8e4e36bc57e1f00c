package attack_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// nowhere fails the test if a token reached an upstream, whichever it is, since
// they had got that many requests.
func (w *world) nowhere(reached, failed int, tokens ...string) {
	w.t.Helper()
	for _, got := range slices.Concat(w.upstream.Received()[reached:], w.failures.Received()[failed:]) {
		for _, token := range tokens {
			if got.Holds(token) {
				w.t.Errorf("%s: an upstream got the caller's token: %v", got.Path, got.Header)
			}
		}
		if seen := strings.Join(got.Header["X-Seen"], ""); seen != "" {
			w.t.Errorf("%s: {http.request.header.Authorization} is %q", got.Path, seen)
		}
	}
}

// The caller's token goes to no upstream by any of Caddy's side doors. That it is
// in no log either, debug and access log included, is seen after all tests.
func TestAttack47SideDoors(t *testing.T) {
	w := attacked(t)
	tests := map[string]struct {
		url      string
		upstream int // requests to the upstream
		failures int // and to the one of error routes
	}{
		"a placeholder of the header":  {"/a/", 1, 0},
		"beside the upstream's token":  {"/orders/", 1, 0},
		"in another header":            {"/header/", 1, 0},
		"first upstream dead":          {w.errors + "/dead/", 0, 1},
		"the same in another header":   {w.errors + "/dead-header/", 0, 1},
		"the second upstream lives":    {w.errors + "/retry/", 1, 0},
		"refused, and an error route":  {w.errors + "/lacking", 0, 1},
		"forward_auth":                 {"/forward/", 1, 1},
		"intercept":                    {"/intercept/", 1, 1},
		"shown in an answer":           {w.errors + "/respond/", 0, 0},
		"nobody's route":               {w.errors + "/nobody", 0, 1},
		"a path of the error's making": {w.errors + "/dead/%2e%2e/x", 0, 1},
	}
	defer w.upstream.Respond(nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := attacked(t)
			reached, failed := len(w.upstream.Received()), len(w.failures.Received())
			w.upstream.Respond(status(map[bool]int{true: http.StatusForbidden, false: http.StatusOK}[name == "intercept"]))
			token := w.token(nil)
			answer := w.get(test.url, token)
			if strings.Contains(answer.Body, token) || strings.Contains(answer.Body, "eyJ") {
				t.Errorf("the answer shows a token: %s", answer.Body)
			}
			if a, b := len(w.upstream.Received())-reached, len(w.failures.Received())-failed; a != test.upstream || b != test.failures {
				t.Fatalf("%d requests to the upstream and %d of error routes, want %d and %d", a, b, test.upstream, test.failures)
			}
			w.nowhere(reached, failed, token)
			// Nor does an error route get the token made for the upstream.
			for _, got := range w.failures.Received()[failed:] {
				if got.Bearer() != "" || got.Header.Get("X-Upstream-Token") != "" || got.Holds("opaque-issued-") {
					t.Errorf("an error route got the upstream's token: %v", got.Header)
				}
			}
		})
	}
}

// status answers without a length: intercept would send that one beside the length
// of what it answers instead.
func status(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(code)
		_ = http.NewResponseController(rw).Flush()
	}
}

// What is refused is shown to an error route without its credential as well.
func TestAttack47RefusedCredentials(t *testing.T) {
	w := attacked(t)
	reached, failed := len(w.upstream.Received()), len(w.failures.Received())
	good, foreign, bad := w.token(nil), w.b.Token(nil), w.thief.Sign(nil, w.claims(nil))
	for _, values := range [][]string{
		{"Bearer " + foreign},
		{"Bearer " + bad},
		{"bearer " + bad},
		{"Basic " + good},
		{good},
		{"Bearer " + good, "Bearer " + foreign},
		{"Bearer " + good + ", Bearer " + foreign},
		{"Bearer\t" + good},
		{"Bearer " + good + strings.Repeat("x", 17<<10)},
		{"DPoP " + good},
	} {
		request := w.request(http.MethodGet, w.errors+"/", "")
		request.Header["Authorization"] = values
		w.do(request)
	}
	if n := len(w.failures.Received()) - failed; n != 10 {
		t.Errorf("%d requests of the error route, want 10", n)
	}
	w.nowhere(reached, failed, good, foreign, bad)
}

// An exchange that fails leaves nothing behind either.
func TestAttack47FailedExchange(t *testing.T) {
	w := attacked(t)
	defer w.a.Answer(w.exchange)
	reached, failed := len(w.upstream.Received()), len(w.failures.Received())
	var tokens []string
	for _, code := range []int{400, 401, 403, 404, 429, 500, 503} {
		w.a.AnswerJSON(code, map[string]any{"error": "invalid_request"})
		tokens = append(tokens, w.token(nil))
		w.get(w.errors+"/dead/", tokens[len(tokens)-1])
		if answer := w.asked("/orders/", w.token(nil)); answer.Status < http.StatusBadRequest {
			t.Errorf("a refused exchange gives %d", answer.Status)
		}
	}
	if n := len(w.failures.Received()) - failed; n != len(tokens) {
		t.Errorf("%d requests of the error route, want %d", n, len(tokens))
	}
	w.nowhere(reached, failed, tokens...)
}

// With log_credentials an operator asks Caddy for what it else hides: it shows the
// request as it came, in the access log and beside an error, and it took that
// picture before any handler ran. The gateway's own lines stay without tokens,
// and what Caddy shows of the request to the upstream has the upstream's alone.
func TestAttack47LogCredentials(t *testing.T) {
	w := attacked(t)
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, `{
	debug
	servers {
		log_credentials
	}
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
		}
	}
}
$SITE {
	log
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	token := idp.Token(w.unique(nil))
	gateway.Await("/", token, http.StatusOK)
	gateway.Get("/", w.thief.Sign(nil, idp.Claims(nil))).Expect(t, http.StatusUnauthorized)
	harness.Eventually(t, "the access log has both requests", func() bool {
		return len(gateway.Lines("handled request")) >= 2 && len(gateway.Lines("upstream roundtrip")) >= 1
	})
	for text := range strings.SplitSeq(gateway.Log(), "\n") {
		var line map[string]any
		if !strings.Contains(text, "eyJ") || json.Unmarshal([]byte(text), &line) != nil {
			continue
		}
		logger, _ := line["logger"].(string)
		caddys := strings.HasPrefix(logger, "http.log.access") || strings.HasPrefix(logger, "http.log.error")
		if !caddys && (strings.Contains(text, token) || line["msg"] != "upstream roundtrip") {
			t.Errorf("a line that is not Caddy's picture of the request holds a token: %s", text)
		}
	}
}
