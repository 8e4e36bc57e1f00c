package attack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
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

// A token that is remembered serves while its server is down, to its own end and no
// further: then there is no token, and no request.
func TestAttack35RememberedTokenEnds(t *testing.T) {
	r := newRemote(t)
	const life = 4 * time.Second // of which the last half serves in an outage only
	r.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		_ = json.NewEncoder(w).Encode(r.idp.Issued(form, map[string]any{"access_token": "remembered", "expires_in": int(life.Seconds()), "scope": nil}))
	})
	token := r.idp.Token(map[string]any{"jti": "35", "scope": nil})
	r.Get("/plain", token).Expect(t, http.StatusOK)
	r.idp.AnswerJSON(http.StatusServiceUnavailable, nil)
	reached := len(r.upstream.Received())
	passed := 0
	harness.Eventually(t, "the remembered token ends", func() bool {
		status := r.Get("/plain", token).Status
		if status == http.StatusOK {
			passed++
		}
		return status == http.StatusServiceUnavailable
	})
	if passed == 0 {
		t.Error("it never served in the outage")
	}
	for range 5 {
		r.Get("/plain", token).Expect(t, http.StatusServiceUnavailable)
	}
	got := r.upstream.Received()[reached:]
	if len(got) != passed {
		t.Errorf("%d requests reached the upstream, %d were answered", len(got), passed)
	}
	for _, request := range got {
		if request.Bearer() != "remembered" || request.Holds(token) {
			t.Errorf("the upstream got %v", request.Header)
		}
	}
}

// Two accounts whose tokens make the server blame the gateway's client are no outage:
// the others are served, at once.
func TestAttack35TwoStopNobody(t *testing.T) {
	r := newRemote(t)
	r.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		if who, _ := harness.Claims(t, form.Get("subject_token"))["sub"].(string); strings.HasPrefix(who, "mallory") {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
			return
		}
		_ = json.NewEncoder(w).Encode(r.idp.Issued(form, map[string]any{"scope": nil}))
	})
	serial := 0
	expect := func(who string, status int) {
		t.Helper()
		serial++
		r.Get("/plain", r.idp.Token(map[string]any{"sub": who, "jti": fmt.Sprint("35-", serial), "scope": nil})).Expect(t, status)
	}
	expect("alice", http.StatusOK)
	for range 5 {
		expect("mallory1", http.StatusBadGateway)
		expect("mallory2", http.StatusBadGateway)
		expect("bob", http.StatusOK)
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
