package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"
)

// onWritten has a function called once a request was sent.
func onWritten(ctx context.Context, sent func()) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent() }})
}

// A thousand callers with twenty tokens, a server that takes a second, and nothing
// remembered: one call for each token, and nobody waits for a second one.
func TestExchangeCrowdOnAColdCache(t *testing.T) {
	site := exchangesSite(t, map[string]string{"orders": "audience orders"})
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		<-time.After(time.Second)
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, nil))
	})
	const keys, callers = 20, 1000
	tokens := make([]string, keys)
	for i := range tokens {
		tokens[i] = site.idp.Token(map[string]any{"sub": fmt.Sprint("user-", i)})
		site.Get("/", tokens[i]).Expect(t, http.StatusOK) // verified, not exchanged
	}
	cold := crowd(t, site, tokens, callers)
	calls := make(map[string]int)
	for _, form := range site.idp.Forms() {
		calls[form.Get("subject_token")]++
	}
	for _, token := range tokens {
		if calls[token] != 1 {
			t.Errorf("%d calls for one token", calls[token])
		}
	}
	// The same crowd once more, with everything remembered: what this machine needs
	// for a thousand requests.
	warm := crowd(t, site, tokens, callers)
	if n := len(site.idp.Forms()); n != keys {
		t.Errorf("%d calls after the second crowd, want %d", n, keys)
	}
	if cold > warm+1500*time.Millisecond {
		t.Errorf("of a hundred ninety-nine waited %s for a server that takes a second, %s when it was not asked", cold, warm)
	}
}

// crowd sends requests at once and returns how long ninety-nine of a hundred
// waited at most.
func crowd(t *testing.T, site exchangeSite, tokens []string, callers int) time.Duration {
	t.Helper()
	waits := make([]time.Duration, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			request := site.Request(http.MethodGet, "/orders", tokens[i%len(tokens)])
			var sent time.Time
			got := site.Do(request.WithContext(onWritten(request.Context(), func() { sent = time.Now() })))
			waits[i] = time.Since(sent)
			got.Expect(t, http.StatusOK)
		})
	}
	all.Wait()
	slices.Sort(waits)
	return waits[callers*99/100]
}
