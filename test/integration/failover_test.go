package integration_test

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A borderRegion stands before an authorization server, whose address is the region's:
// it can be dead, which is a port where nobody listens, or hang, which is a server
// that takes requests and answers none.
type borderRegion struct {
	*harness.AuthServer

	URL string // the issuer

	tb     testing.TB
	server *http.Server
	hangs  atomic.Bool
	ended  chan struct{}
}

func newBorderRegion(t *testing.T) *borderRegion {
	t.Helper()
	address := harness.FreeAddress(t)
	r := &borderRegion{AuthServer: harness.NewAuthServer(t), URL: "http://" + address, tb: t, ended: make(chan struct{})}
	t.Cleanup(func() {
		close(r.ended)
		r.die()
	})
	return r
}

// live makes the region answer at its address.
func (r *borderRegion) live() {
	r.tb.Helper()
	behind, err := url.Parse(r.AuthServer.URL)
	if err != nil {
		r.tb.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	listener, err := net.Listen("tcp", strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		r.tb.Fatal(err)
	}
	r.hangs.Store(false)
	r.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if r.hangs.Load() {
			select {
			case <-request.Context().Done():
			case <-r.ended:
			}
			return
		}
		proxy.ServeHTTP(w, request)
	})}
	// On a connection that breaks just as a request goes out nobody can tell whether it
	// arrived, so it is not sent to another region. Here none is kept for that to happen.
	r.server.SetKeepAlivesEnabled(false)
	go func() { _ = r.server.Serve(listener) }()
}

// die closes the region's port and whatever is open at it.
func (r *borderRegion) die() {
	if r.server != nil {
		_ = r.server.Close()
	}
}

// regional is a site whose issuer runs in two regions, with an opaque token and an
// exchange for the asking. Nothing is remembered.
const regional = `{
	gatehouse {
		issuer main $FIRST {
			audience https://api.example.com
			fallback $SECOND
			fetch_timeout 1s
			introspection {
				client gateway
				cache_ttl 0s
				prefix opaque
			}
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
			timeout $TIMEOUT
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read
			cache_entries off
		}
	}
}
$SITE {
	token_auth
	handle /orders/* {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	reverse_proxy $UPSTREAM
}
`

type regions struct {
	*harness.Gateway

	first               *borderRegion
	second              *harness.AuthServer
	asksFirst, asksNext *harness.Introspection
}

// startRegions starts the site while its first region is as prepare leaves it.
func startRegions(t *testing.T, timeout string, prepare func(first *borderRegion)) *regions {
	t.Helper()
	r := &regions{first: newBorderRegion(t), second: harness.NewAuthServer(t)}
	r.asksFirst, r.asksNext = r.first.Introspects(t), r.second.Introspects(t)
	metadata := func(w http.ResponseWriter, _ *http.Request) {
		// One document for both, with the addresses of the first.
		_, _ = w.Write(tokentest.JSON(map[string]any{
			"issuer": r.first.URL, "jwks_uri": r.first.URL + "/jwks",
			"token_endpoint": r.first.URL + "/token", "introspection_endpoint": r.first.URL + "/introspect",
		}))
	}
	for _, region := range []*harness.AuthServer{r.first.AuthServer, r.second} {
		region.Handle(metadataPlace, metadata)
		region.Rotate(r.first.Key)
		region.Answer(func(form url.Values, w http.ResponseWriter) {
			claims := tokentest.Claims(r.first.URL, map[string]any{"aud": form.Get("audience"), "scope": form.Get("scope")})
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(tokentest.JSON(region.Issued(form, map[string]any{"access_token": r.first.Key.Sign(nil, claims)})))
		})
	}
	for _, asks := range []*harness.Introspection{r.asksFirst, r.asksNext} {
		asks.Issue("opaque-token", map[string]any{"iss": r.first.URL})
	}
	prepare(r.first)
	upstream := harness.NewUpstream(t)
	r.Gateway = harness.Start(t, regional, "$FIRST", r.first.URL, "$SECOND", r.second.URL, "$UPSTREAM", upstream.Address, "$TIMEOUT", timeout)
	return r
}

func (r *regions) token() string {
	return r.first.Key.Sign(nil, tokentest.Claims(r.first.URL, nil))
}

// served counts what each region did for requests.
func (r *regions) served() (first, next int) {
	return len(r.first.Forms()) + len(r.asksFirst.Asked()), len(r.second.Forms()) + len(r.asksNext.Asked())
}

// A request that comes while the first region is dead, or takes requests and answers
// none, is served by the next one, the first such request included; once the first is
// back the next one is left alone.
func TestRequestsFailOver(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*borderRegion){
		"dead": func(*borderRegion) {},
		"hanging": func(first *borderRegion) {
			first.live()
			first.hangs.Store(true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := startRegions(t, "5s", prepare)
			// Nothing is known of either region: each request goes to the first in vain.
			r.Get("/", "opaque-token").Expect(t, http.StatusOK)
			r.Await("/orders/1", r.token(), http.StatusOK)
			if first, next := r.served(); first != 0 || next != 2 {
				t.Errorf("the first region served %d times, the next %d times", first, next)
			}
			r.first.die()
			r.first.live()
			harness.Eventually(t, "the first region serves again", func() bool {
				r.Get("/", "opaque-token").Expect(t, http.StatusOK)
				first, _ := r.served()
				return first > 0
			})
			_, before := r.served()
			for range 3 {
				r.Get("/", "opaque-token").Expect(t, http.StatusOK)
				r.Get("/orders/1", r.token()).Expect(t, http.StatusOK)
			}
			if _, after := r.served(); after != before {
				t.Errorf("the next region served %d times after the return of the first", after-before)
			}
		})
	}
}

// A region that dies under way costs no request: what could not be sent to it goes to
// the next one at once.
func TestRequestsFailOverUnderWay(t *testing.T) {
	r := startRegions(t, "5s", (*borderRegion).live)
	r.Get("/", "opaque-token").Expect(t, http.StatusOK)
	r.Await("/orders/1", r.token(), http.StatusOK)
	if first, next := r.served(); first < 2 || next != 0 {
		t.Fatalf("the first region served %d times, the next %d times", first, next)
	}
	r.first.die()
	r.Get("/", "opaque-token").Expect(t, http.StatusOK)
	r.Get("/orders/1", r.token()).Expect(t, http.StatusOK)
	if _, next := r.served(); next != 2 {
		t.Errorf("the next region served %d times", next)
	}
	r.first.live()
	harness.Eventually(t, "the first region serves again", func() bool {
		before, _ := r.served()
		r.Get("/", "opaque-token").Expect(t, http.StatusOK)
		after, _ := r.served()
		return after > before
	})
}

// A region that begins to hang may have used up what it was sent, so that is not sent
// to another. But it is left alone after a few such requests, and those that follow go
// to the next one.
func TestRequestsFailOverFromHangingRegion(t *testing.T) {
	r := startRegions(t, "2s", (*borderRegion).live)
	r.Await("/orders/1", r.token(), http.StatusOK) // the first region's addresses are known
	r.first.hangs.Store(true)
	most := 0
	harness.Eventually(t, "the next region serves", func() bool {
		most++
		answer := r.Get("/", "opaque-token")
		if answer.Status != http.StatusOK {
			answer.Expect(t, http.StatusServiceUnavailable)
		}
		return answer.Status == http.StatusOK
	})
	if _, next := r.served(); next != 1 || most > 6 {
		t.Errorf("the next region served %d times, at request %d", next, most)
	}
	r.Get("/", "opaque-token").Expect(t, http.StatusOK)
}
