package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// failsOnce makes the server answer 502 to the next call, and well to those after it.
func (s exchangeSite) failsOnce() {
	var failed atomic.Bool
	s.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		if failed.CompareAndSwap(false, true) {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(s.idp.Issued(form, nil))
	})
}

// What may pass is tried once more for one request; an assertion grant is not, since
// its assertion may be good once (RFC 7523, section 3).
func TestExchangeTriesOnceMore(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{
		"exchange": "audience a", "credentials": "grant client_credentials\nscope_exact a",
		"assertion": "grant jwt_bearer\nscope_exact a",
	})
	for name, want := range map[string]struct{ calls, status int }{
		"exchange": {2, http.StatusOK}, "credentials": {2, http.StatusOK}, "assertion": {1, http.StatusServiceUnavailable},
	} {
		before, reached := len(site.idp.Forms()), len(site.upstream.Received())
		site.failsOnce()
		site.Get("/"+name, site.idp.Token(map[string]any{"jti": name})).Expect(t, want.status)
		if n := len(site.newForms(before)); n != want.calls {
			t.Errorf("%s: %d calls, want %d", name, n, want.calls)
		}
		if n := len(site.upstream.Received()) - reached; (n == 1) != (want.status == http.StatusOK) {
			t.Errorf("%s: %d requests reached the upstream", name, n)
		}
	}
	// A server that goes on failing is not asked a third time.
	before := len(site.idp.Forms())
	site.idp.AnswerJSON(http.StatusBadGateway, nil)
	site.Get("/exchange", site.idp.Token(map[string]any{"jti": "down"})).Expect(t, http.StatusServiceUnavailable)
	if n := len(site.newForms(before)); n != 2 {
		t.Errorf("%d calls to a server that fails, want 2", n)
	}
}

// The second attempt proves the client anew: servers take an assertion once.
func TestExchangeTriesOnceMoreWithAnotherAssertion(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "client-1")
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, key.PEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	const secret = "\t\tclient gateway {\n\t\t\tissuer main\n\t\t\tclient_id gateway\n\t\t\tsecret canary-client-secret\n"
	const signed = "\t\tclient gateway {\n\t\t\tissuer main\n\t\t\tclient_id gateway\n\t\t\tauth private_key_jwt\n\t\t\tkey "
	site := exchangesSite(t, map[string]string{"x": "audience a"}, secret, signed+path+"\n")
	rule := &harness.AssertionRule{Key: key, Audience: site.idp.URL, Type: "client-authentication+jwt"}
	site.idp.Authenticate(func(r *http.Request) bool { return rule.Accepts(t, r) })
	site.failsOnce()
	site.Get("/x", site.idp.Token(nil)).Expect(t, http.StatusOK)
	seen := make(map[string]bool)
	for _, form := range site.idp.Forms() {
		seen[fmt.Sprint(harness.Claims(t, form.Get("client_assertion"))["jti"])] = true
	}
	if calls := len(site.idp.Forms()); calls != 2 || len(seen) != 2 {
		t.Errorf("%d calls with %d assertions, want 2 of each", calls, len(seen))
	}
}

// A definitive refusal is remembered for that very token; one that a login mends is
// not, nor are rights of another token.
func TestExchangeRemembersRefusals(t *testing.T) {
	t.Parallel()
	for code, test := range map[string]struct {
		told  expected
		calls int
	}{
		"invalid_grant": {toldRejected, 1}, "access_denied": {toldDenied, 1}, "interaction_required": {toldStepUp, 5},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			site := exchangesSite(t, map[string]string{"x": "audience a"})
			site.idp.Answer(refusalWith(http.StatusBadRequest, code))
			token := site.idp.Token(map[string]any{"jti": "refused"})
			for range 5 {
				test.told.expect(t, site.Get("/x", token), false, http.MethodGet)
			}
			if n := len(site.idp.Forms()); n != test.calls {
				t.Errorf("%d calls for five requests, want %d", n, test.calls)
			}
			site.idp.Answer(nil)
			site.Get("/x", site.idp.Token(map[string]any{"jti": "another"})).Expect(t, http.StatusOK)
			if test.calls == 5 {
				site.Get("/x", token).Expect(t, http.StatusOK)
			}
			// Rights that were granted meanwhile are noticed.
			site.Await("/x", token, http.StatusOK)
		})
	}
}
