package integration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A token that is due to be renewed is, beside a request that does not wait for it: the
// server hangs until those who come meanwhile have their answers.
func TestExchangeRenewsAheadBesideRequests(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"x": "audience a"})
	release, hanging := make(chan struct{}), make(chan struct{}, 100)
	var asked atomic.Bool
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		if asked.Swap(true) {
			hanging <- struct{}{}
			<-release
		}
		// The time between when it is due and when it is handed out no more grows with the life.
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, map[string]any{"expires_in": 24}))
	})
	token := site.idp.Token(map[string]any{"jti": "renewed"})
	site.Get("/x", token).Expect(t, http.StatusOK)
	old := site.upstream.Last(t).Bearer()
	asOld := func() {
		t.Helper()
		site.Get("/x", token).Expect(t, http.StatusOK)
		if site.upstream.Last(t).Bearer() != old {
			t.Error("the upstream got another token, before there was one")
		}
	}
	harness.Eventually(t, "the token is being renewed", func() bool { asOld(); return t.Failed() || len(hanging) > 0 })
	for range 3 {
		asOld()
	}
	close(release)
	harness.Eventually(t, "the new token is handed out", func() bool {
		site.Get("/x", token).Expect(t, http.StatusOK)
		return site.upstream.Last(t).Bearer() != old
	})
	if n := len(site.idp.Forms()); n != 2 {
		t.Errorf("%d calls for one token and the next one", n)
	}
}

// While the server is down, a token that was due to be renewed serves to its end, and
// no longer.
func TestExchangeServesToTheEndWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	const life = 8
	site := exchangesSite(t, map[string]string{"x": "audience a"})
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, map[string]any{"expires_in": life}))
	})
	token := site.idp.Token(map[string]any{"jti": "outage"})
	site.Get("/x", token).Expect(t, http.StatusOK)
	end, old := time.Now().Add(life*time.Second), site.upstream.Last(t).Bearer()
	site.idp.AnswerJSON(http.StatusServiceUnavailable, nil)
	older := func() bool { return len(site.Lines("serving an older token, since no new one could be had")) > 0 }
	harness.Eventually(t, "the token's end", func() bool {
		begun, told := time.Now(), older()
		got := site.Get("/x", token)
		if got.Status == http.StatusServiceUnavailable {
			if !told || got.Header.Get("Retry-After") == "" {
				t.Errorf("it ended while nobody was told that it serves on (%t), with %v", told, got.Header)
			}
			return true
		}
		got.Expect(t, http.StatusOK)
		if site.upstream.Last(t).Bearer() != old || begun.After(end) {
			t.Error("the upstream got another token, or one that has ended")
		}
		return t.Failed()
	})
	if calls := len(site.idp.Forms()); calls < 2 {
		t.Errorf("%d calls: nobody asked for the next token", calls)
	}
	reached := len(site.upstream.Received())
	for range 3 {
		site.Get("/x", token).Expect(t, http.StatusServiceUnavailable)
	}
	if n := len(site.upstream.Received()); n != reached {
		t.Errorf("%d requests reached the upstream without a token", n-reached)
	}
	site.idp.Answer(nil)
	site.Await("/x", token, http.StatusOK)
}
