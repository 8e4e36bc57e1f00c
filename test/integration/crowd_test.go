package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"
)

// A thousand callers with twenty tokens, a server that takes a second, and nothing
// remembered: one call for each token. The same crowd once more asks nobody.
func TestExchangeCrowdOnAColdCache(t *testing.T) {
	const client = "\t\tclient gateway {\n" // which waits until a slow machine has answered them all
	site := exchangesSite(t, map[string]string{"orders": "audience orders"}, client, client+"\t\t\ttimeout 60s\n")
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
	for range 2 {
		crowd(t, site, tokens, callers)
		calls := make(map[string]int)
		for _, form := range site.idp.Forms() {
			calls[form.Get("subject_token")]++
		}
		for _, token := range tokens {
			if calls[token] != 1 {
				t.Errorf("%d calls for one token", calls[token])
			}
		}
	}
}

// crowd sends requests at once.
func crowd(t *testing.T, site exchangeSite, tokens []string, callers int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { site.Get("/orders", tokens[i%len(tokens)]).Expect(t, http.StatusOK) })
	}
	all.Wait()
}
