package attack_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A server that is down is no reason to pass the caller's own token on, nor to let
// the request through without one.
func TestAttack35NoTokenNoRequest(t *testing.T) {
	r := newRemote(t)
	paths := []string{"/plain", "/verified", "/assertion", "/own"}
	reached := len(r.upstream.Received())
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusInternalServerError, http.StatusTooManyRequests} {
		r.idp.AnswerJSON(status, map[string]any{})
		for _, path := range paths {
			token := r.idp.Token(map[string]any{"jti": path + http.StatusText(status), "scope": nil})
			r.Get(path, token).Expect(t, http.StatusServiceUnavailable)
		}
	}
	if n := len(r.upstream.Received()) - reached; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// What a caller's token says is a value in the form at most, never a field of it.
func TestAttack40ClaimsAreNotFields(t *testing.T) {
	r := newRemote(t)
	const evil = "x&audience=payments&resource=https://evil.example\r\naudience=payments"
	for _, claim := range []string{"jti", "sub", "scope", "client_id", "azp"} {
		before := len(r.idp.Forms())
		r.Get("/plain", r.idp.Token(map[string]any{"scope": nil, "jti": "40" + claim, claim: evil}))
		for _, form := range r.idp.Forms()[before:] {
			want := []string{"audience", "grant_type", "subject_token", "subject_token_type"}
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(form))); diff != "" || form.Get("audience") != "plain" || len(form["audience"]) != 1 {
				t.Errorf("%s: the form %v: %s", claim, form["audience"], diff)
			}
		}
	}
	if len(r.idp.Forms()) == 0 {
		t.Error("nothing was asked")
	}
}
