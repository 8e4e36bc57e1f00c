package attack_test

import (
	"crypto/rand"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// What is far too long is refused before anybody reads it, and costs no memory:
// by Caddy's own limit or, where an operator raised that, by the gateway's.
func TestAttack04HugeToken(t *testing.T) {
	w := attacked(t)
	for name, size := range map[string]int{"kid of 10 MB": 10 << 20, "kid of 500 kB": 500 << 10, "kid of 17 kB": 17 << 10} {
		t.Run(name, func(t *testing.T) {
			w := attacked(t)
			token := w.thief.Sign(map[string]any{"kid": strings.Repeat("k", size)}, w.claims(nil))
			w.flat(func() {
				for range 10 {
					w.refusedAs(w.request(http.MethodGet, w.alias+"/", token), http.StatusBadRequest, challengeMalformed)
				}
			})
		})
	}
	w.accepted(w.alias+"/", w.token(nil))
}

func TestAttack24Dots(t *testing.T) {
	w := attacked(t)
	w.flat(func() {
		for range 20 {
			w.get("/a/", strings.Repeat(".", 1<<20)).Expect(t, http.StatusRequestHeaderFieldsTooLarge)
			long := w.request(http.MethodGet, w.alias+"/", strings.Repeat(".", 1<<20))
			w.refusedAs(long, http.StatusBadRequest, challengeMalformed)
			w.refused("/a/", strings.Repeat(".", 16_000))
			w.refused("/a/", "a."+strings.Repeat(".", 16_000)+".a")
			w.refused("/a/", w.token(nil)+strings.Repeat(".", 8_000))
		}
	})
	// Many blanks, commas and schemes: more than one credential, whatever they are.
	for _, value := range []string{strings.Repeat(" ", 15_000), strings.Repeat("Bearer ", 2_000), "Bearer " + strings.Repeat("a,", 5_000)} {
		request := w.request(http.MethodGet, "/a/", "")
		request.Header["Authorization"] = []string{value}
		if answer := w.do(request); answer.Status != http.StatusBadRequest && answer.Status != http.StatusUnauthorized {
			t.Errorf("%.20q…: %d", value, answer.Status)
		}
	}
}

// Whoever invents kids does not make the gateway hammer the issuer: at most three
// fetches at once and one each half a minute.
func TestAttack21UnknownKeyIDs(t *testing.T) {
	const kids, workers = 10_000, 8
	w := attacked(t)
	good := w.b.Token(w.unique(nil))
	w.accepted("/b/", good)
	payload := tokentest.Encode(tokentest.JSON(w.b.Claims(nil)))
	signature := tokentest.Encode(make([]byte, 64))
	fetched, began := w.b.Hits("/jwks"), time.Now()
	var let, disturbed atomic.Int64
	w.flat(func() {
		var group sync.WaitGroup
		ended := make(chan struct{})
		var others sync.WaitGroup
		others.Go(func() { disturbed.Store(w.accompany("/b/", ended)) })
		defer others.Wait()
		defer close(ended)
		for range workers {
			group.Go(func() {
				for range kids / workers {
					header := tokentest.JSON(map[string]any{"alg": "ES256", "kid": rand.Text()})
					answer, err := client.Do(w.request(http.MethodGet, "/b/", tokentest.Encode(header)+"."+payload+"."+signature))
					if err != nil || answer.Body.Close() != nil || answer.StatusCode < http.StatusBadRequest {
						let.Add(1)
					}
				}
			})
		}
		group.Wait()
	})
	if n := let.Load(); n != 0 {
		t.Errorf("%d requests were not refused", n)
	}
	if n := disturbed.Load(); n != 0 {
		t.Errorf("%d requests with a key that is known were refused, or waited", n)
	}
	most := 3 + int(time.Since(began)/(30*time.Second)) + 1
	if n := w.b.Hits("/jwks") - fetched; n > most {
		t.Errorf("%d fetches of the key set for %d kids, want at most %d", n, kids, most)
	}
	if !regexp.MustCompile(`key_lookups_refused_total\{issuer="` + w.b.URL + `"\} 9\.?[0-9]{3}`).MatchString(w.gateway.Metrics()) {
		t.Error("the metrics do not tell that thousands of keys were not looked for")
	}
	// The others do not pay for it.
	w.accepted("/b/", good)
	w.accepted("/b/", w.b.Token(w.unique(nil)))
}

// accompany sends good tokens of issuer b, each new, until ended, and counts those
// that are refused, or wait as long as for a fetch.
func (w *world) accompany(path string, ended <-chan struct{}) (disturbed int64) {
	for {
		select {
		case <-ended:
			return disturbed
		default:
		}
		began := time.Now()
		answer, err := client.Do(w.request(http.MethodGet, path, w.b.Token(w.unique(nil))))
		if err != nil || answer.Body.Close() != nil || answer.StatusCode != http.StatusOK || time.Since(began) > 2*time.Second {
			disturbed++
		}
	}
}
