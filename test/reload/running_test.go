package reload_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// While configurations change every request gets its answer, and the right one.
func TestNoRequestIsLost(t *testing.T) {
	s := start(t)
	done := make(chan struct{})
	var answered atomic.Int32
	var workers sync.WaitGroup
	for worker := range 4 {
		workers.Go(func() {
			for i := 0; ; i++ {
				// Some tokens are known, some are not, some need an exchange.
				token := s.idp.Token(map[string]any{"jti": fmt.Sprint(worker, i/3)})
				got, err := patient(s.Request(http.MethodGet, []string{"/", "/orders/1"}[i%2], token))
				if err != nil || got.Status != http.StatusOK {
					t.Errorf("request %d was answered %d, %v", i, got.Status, err)
				}
				answered.Add(1)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for generation := range 8 {
		before := answered.Load()
		if err := s.Reload(configuration{generation: generation + 1, leeway: fmt.Sprintf("%ds", 10+generation)}.caddyfile()); err != nil {
			t.Errorf("reloading: %v", err)
		}
		harness.Eventually(t, "requests go on", func() bool { return answered.Load() > before })
	}
	close(done)
	workers.Wait()
	if n := s.idp.Hits("/jwks"); n != 1 {
		t.Errorf("%d fetches of the key set, want 1", n)
	}
}

// A request of the old configuration that waits, for the upstream or for an
// exchange, is answered after the new one took over.
func TestOldRequestsFinish(t *testing.T) {
	s := start(t)
	release := make(chan struct{})
	s.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		<-release
		answer := s.idp.Issued(form, nil)
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","issued_token_type":%q,"expires_in":60}`,
			answer["access_token"], answer["issued_token_type"])
	})
	s.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = io.WriteString(w, "late answer")
	})
	waiting := len(s.upstream.Received())
	var old sync.WaitGroup
	ask := func(token string) {
		got := s.Get("/orders/1", token).Expect(t, http.StatusOK)
		if got.Body != "late answer" || got.Header.Get("X-Generation") != "0" {
			t.Errorf("generation %s answers %q", got.Header.Get("X-Generation"), got.Body)
		}
	}
	old.Go(func() { ask(s.token) })
	old.Go(func() { ask(s.idp.Token(map[string]any{"jti": "2"})) })
	harness.Eventually(t, "both requests wait, one behind an exchange", func() bool {
		return len(s.upstream.Received()) == waiting+1 && len(s.idp.Forms()) == 2
	})
	old.Go(func() {
		if err := s.Reload(configuration{generation: 1}.caddyfile()); err != nil {
			t.Errorf("reloading: %v", err)
		}
	})
	harness.Eventually(t, "the new configuration answers", func() bool {
		return s.Get("/", s.token).Header.Get("X-Generation") == "1"
	})
	close(release)
	old.Wait()
	// What the old configuration's request learned, the new one has.
	s.Get("/orders/1", s.idp.Token(map[string]any{"jti": "3"})).Expect(t, http.StatusOK)
	s.expectFetched(t, 1, 3)
}

func TestNoGoroutineIsLeft(t *testing.T) {
	// Not by reverse_proxy: it keeps an idle connection of each configuration for
	// its two minutes, with or without Gatehouse.
	s := startAt(t, "/exchanged")
	// A configuration that has just asked for keys, metadata and a token.
	s.reload(t, configuration{generation: 1, scope: "orders:write"})
	s.Get("/exchanged", s.token).Expect(t, http.StatusOK)
	base := s.mostGoroutines(t)
	if base["gatehouse"] == 0 || base["otter"] == 0 {
		t.Fatalf("the profile shows nothing of what it should: %v", base)
	}
	for generation := range 10 {
		c := configuration{generation: generation + 2, leeway: fmt.Sprintf("%ds", 10+generation), scope: []string{"orders:read", "orders:write"}[generation%2]}
		s.reload(t, c)
		s.Get("/exchanged", s.token).Expect(t, http.StatusOK)
		broken := c
		broken.extra = "\t\tissuer late https://late.example.com {\n\t\t\taudience any\n\t\t\tjwks /no/such/file\n\t\t}\n"
		if s.Reload(broken.caddyfile()) == nil {
			t.Fatal("a broken configuration was accepted")
		}
	}
	s.expectGoroutines(t, base)
	s.reload(t, configuration{generation: 20, without: true})
	s.expectGoroutines(t, map[string]int{})
}

// mostGoroutines looks several times: who follows the list of revocations asks in a
// goroutine of its own, which is gone for a moment between two questions.
func (s site) mostGoroutines(t *testing.T) map[string]int {
	t.Helper()
	most := make(map[string]int)
	for range 10 {
		for kind, n := range s.goroutines(t) {
			most[kind] = max(most[kind], n)
		}
	}
	return most
}

// expectGoroutines waits until there are no more goroutines of any kind than
// that: some end a moment after the reload.
func (s site) expectGoroutines(t *testing.T, most map[string]int) {
	t.Helper()
	harness.Eventually(t, fmt.Sprintf("goroutines are at most %v", most), func() bool {
		for kind, n := range s.goroutines(t) {
			if n > most[kind] {
				return false
			}
		}
		return true
	})
}

var goroutineGroup = regexp.MustCompile(`(?m)^(\d+) @ .*$`)

// goroutines counts the goroutines that Gatehouse, its caches and its HTTP client
// run.
func (s site) goroutines(t *testing.T) map[string]int {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, s.Admin+"/debug/pprof/goroutine?debug=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := patient(request)
	if err != nil {
		t.Fatal(err)
	}
	profile := answer.Expect(t, http.StatusOK).Body
	counts := make(map[string]int)
	groups := goroutineGroup.FindAllStringSubmatchIndex(profile, -1)
	for i, group := range groups {
		end := len(profile)
		if i+1 < len(groups) {
			end = groups[i+1][0]
		}
		n, err := strconv.Atoi(profile[group[2]:group[3]])
		if err != nil {
			t.Fatal(err)
		}
		stack := profile[group[0]:end]
		for kind, mark := range map[string]string{"gatehouse": "caddy-gatehouse/gatehouse", "otter": "maypok86/otter", "connections": "net/http.(*persistConn).readLoop"} {
			if strings.Contains(stack, mark) {
				counts[kind] += n
			}
		}
	}
	return counts
}
