package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// While the server hangs for one exchange, others and routes without one answer,
// and those who wait share one call. They are told when it is over.
func TestExchangeThatHangsHangsAlone(t *testing.T) {
	site := exchangesSite(t, map[string]string{"slow": "audience slow", "quick": "audience quick"})
	release, hanging := make(chan struct{}), make(chan struct{}, 100)
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		if form.Get("audience") == "slow" {
			hanging <- struct{}{}
			<-release
		}
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, nil))
	})
	token := site.idp.Token(map[string]any{"jti": "hang"})
	var waiting sync.WaitGroup
	for range 20 {
		waiting.Go(func() {
			if got := site.Get("/slow", token); got.Status != http.StatusOK {
				t.Errorf("the one who waits gets %d", got.Status)
			}
		})
	}
	<-hanging
	for i := range 20 {
		site.Get("/quick", site.idp.Token(map[string]any{"jti": fmt.Sprint(i)})).Expect(t, http.StatusOK)
		site.Get("/", token).Expect(t, http.StatusOK)
	}
	close(release)
	waiting.Wait()
	slow := 0
	for _, form := range site.idp.Forms() {
		if form.Get("audience") == "slow" {
			slow++
		}
	}
	if slow != 1 {
		t.Errorf("%d calls for twenty who wait", slow)
	}
}

// Nor do many callers with tokens of their own, who hang, take the server from another
// exchange: one has not all the calls that run at a time.
func TestExchangeThatHangsForManyHangsAlone(t *testing.T) {
	site := exchangesSite(t, map[string]string{"slow": "audience slow", "quick": "audience quick"},
		"\t\tclient gateway {\n", "\t\tclient gateway {\n\t\t\ttimeout 60s\n")
	release, hanging := make(chan struct{}), make(chan struct{}, 200)
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		if form.Get("audience") == "slow" {
			hanging <- struct{}{}
			<-release
		}
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, nil))
	})
	var waiting sync.WaitGroup
	for i := range 150 {
		token := site.idp.Token(map[string]any{"jti": fmt.Sprint("many", i)})
		waiting.Go(func() {
			if got := site.Get("/slow", token); got.Status != http.StatusOK {
				t.Errorf("one who waits gets %d", got.Status)
			}
		})
	}
	for range 56 { // as many as one exchange has
		<-hanging
	}
	for i := range 20 {
		site.Get("/quick", site.idp.Token(map[string]any{"jti": fmt.Sprint("quick", i)})).Expect(t, http.StatusOK)
	}
	if len(hanging) > 0 {
		t.Error("more than 56 calls of one exchange run at a time")
	}
	close(release)
	waiting.Wait()
}

// A server that wants to be left alone is, until then, and everybody is told for how long.
func TestExchangePauseOfTheServerIsKept(t *testing.T) {
	site := exchangesSite(t, map[string]string{"x": "audience a", "y": "audience b"})
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		if form.Get("audience") == "a" {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, nil))
	})
	before := len(site.idp.Forms())
	for i := range 20 {
		token := site.idp.Token(map[string]any{"jti": fmt.Sprint("full", i), "sub": fmt.Sprint("user", i)})
		got := site.Get("/x", token).Expect(t, http.StatusServiceUnavailable)
		if seconds, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 30 {
			t.Errorf("Retry-After: %q", got.Header.Get("Retry-After"))
		}
		site.Get("/y", token).Expect(t, http.StatusOK)
	}
	calls := 0
	for _, form := range site.newForms(before) {
		if form.Get("audience") == "a" {
			calls++
		}
	}
	if calls != 2 {
		t.Errorf("%d calls for twenty users, want those of the two who are believed", calls)
	}
}

// A caller's logout at the server is told from a right that is missing only as far
// as the server says so; nothing that it says reaches the caller, a login that it
// wants does (RFC 9470, section 3).
func TestExchangeStepUpChallenge(t *testing.T) {
	site := exchangesSite(t, map[string]string{"x": "audience a"})
	site.idp.AnswerJSON(http.StatusBadRequest, map[string]any{
		"error": "insufficient_user_authentication", "acr_values": "urn:gold", "max_age": 120, "error_description": "canary-description",
	})
	token := site.idp.Token(map[string]any{"jti": "up"})
	got := site.Get("/x", token).Expect(t, http.StatusUnauthorized)
	expectHeader(t, got, "WWW-Authenticate", `Bearer realm="gatehouse", error="insufficient_user_authentication", `+
		`error_description="A newer or stronger login is needed.", acr_values="urn:gold", max_age="120"`)
	expectNowhere(t, site.Gateway, site.upstream, got, token, "canary-description")
	harness.Eventually(t, "the audit trail has the server's words", func() bool {
		for _, line := range site.Audit() {
			if line["rule"] == "step_up" && line["server_error"] == "insufficient_user_authentication" && line["server_status"] == 400.0 {
				return true
			}
		}
		return false
	})
}
