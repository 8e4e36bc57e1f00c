package authserver

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// A region is one place of an issuer: it publishes the metadata that the issuer
// has everywhere, with the addresses of the first.
type region struct {
	url    string
	status atomic.Int32 // of everything; 0: all is well
	tokens atomic.Int32 // requests at the token endpoint
	answer atomic.Int32 // status of the token endpoint
	issuer string       // what it calls itself
	key    *tokentest.Key
	told   func() []string // what the Server of regions was told
}

func newRegion(t *testing.T, key *tokentest.Key, issuer string) *region {
	t.Helper()
	r := &region{key: key, issuer: issuer}
	r.answer.Store(http.StatusOK)
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	if issuer == "" {
		r.issuer = r.url + "/realm"
	}
	return r
}

// ServeHTTP implements http.Handler.
func (r *region) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if status := int(r.status.Load()); status != 0 {
		w.WriteHeader(status)
		return
	}
	switch request.URL.Path {
	case openIDPlace:
		_, _ = w.Write(tokentest.JSON(map[string]any{
			"issuer": r.issuer, "jwks_uri": r.issuer + "/keys", "token_endpoint": strings.TrimSuffix(r.issuer, "/realm") + "/token",
		}))
	case "/realm/keys":
		_, _ = w.Write(tokentest.Set(r.key))
	case "/token":
		r.tokens.Add(1)
		w.WriteHeader(int(r.answer.Load()))
	default:
		http.NotFound(w, request)
	}
}

// regions are an issuer at two places, and a Server with both.
func regions(t *testing.T) (first, second *region, server *Server) {
	t.Helper()
	first = newRegion(t, tokentest.NewKey(t, "ES256", "first"), "")
	second = newRegion(t, tokentest.NewKey(t, "ES256", "second"), first.issuer)
	var mu sync.Mutex
	var seen []string
	server = newTestServer(t, ServerOptions{
		Issuer: first.issuer, Fallback: []string{second.url + "/realm"},
		Observe: func(place string, err error) {
			mu.Lock()
			defer mu.Unlock()
			what := map[bool]string{true: "up", false: "down"}[err == nil]
			seen = append(seen, map[bool]string{true: "first ", false: "second "}[place == first.issuer]+what)
		},
	})
	first.told = func() []string {
		mu.Lock()
		defer mu.Unlock()
		return append([]string(nil), seen...)
	}
	return first, second, server
}

// keyOf fetches the key set and tells whose it is.
func keyOf(t *testing.T, server *Server) string {
	t.Helper()
	set, _, err := server.KeySet(t.Context())
	if err != nil || len(set.Keys) != 1 {
		return "none"
	}
	return set.Keys[0].ID()
}

func TestFallbackServesKeysAndThenReturnsToTheFirst(t *testing.T) {
	first, second, server := regions(t)
	first.status.Store(http.StatusServiceUnavailable)
	if got := keyOf(t, server); got != "second" {
		t.Fatalf("keys of %s, want those of the fallback", got)
	}
	endpoint, err := server.TokenEndpoint(t.Context())
	if err != nil || endpoint != second.url+"/token" {
		t.Errorf("token endpoint %s, error %v; want the fallback's own, not the address of the one that is down", endpoint, err)
	}
	// It is not asked again by whoever needs keys, though it is back.
	first.status.Store(0)
	if got := keyOf(t, server); got != "second" {
		t.Errorf("keys of %s right after a failure of the first", got)
	}
	server.replicas[0].probe()
	if got := keyOf(t, server); got != "first" {
		t.Errorf("keys of %s, want a return to the first", got)
	}
	if diff := cmp.Diff([]string{"first down", "first up"}, first.told()); diff != "" {
		t.Error(diff)
	}
}

func TestFallbackMustNameTheIssuer(t *testing.T) {
	first, second, server := regions(t)
	second.issuer = second.url + "/realm"
	first.status.Store(http.StatusInternalServerError)
	if _, _, err := server.KeySet(t.Context()); !errors.Is(err, ErrMetadata) || !strings.Contains(err.Error(), first.issuer) {
		t.Errorf("a fallback that calls itself another issuer: %v", err)
	}
	// With all of them down, each is asked all the same.
	first.status.Store(0)
	if got := keyOf(t, server); got != "first" {
		t.Errorf("keys of %s", got)
	}
}

func TestFallbackOfConfiguredKeys(t *testing.T) {
	first, second, _ := regions(t)
	server := newTestServer(t, ServerOptions{
		Issuer: first.issuer, JWKS: first.issuer + "/keys", Fallback: []string{second.url + "/realm"},
	})
	if got := keyOf(t, server); got != "first" {
		t.Errorf("keys of %s", got)
	}
	first.status.Store(http.StatusNotFound)
	if got := keyOf(t, server); got != "second" {
		t.Errorf("keys of %s, want those of the fallback's metadata", got)
	}
	server.replicas[0].probe()
	if !server.replicas[0].isDown() {
		t.Error("a key set that is not there counts as back")
	}
	first.status.Store(0)
	server.replicas[0].probe()
	if got := keyOf(t, server); got != "first" {
		t.Errorf("keys of %s, want a return to the first", got)
	}
}

// Looks at what failed come by themselves, ever more rarely, and end with the
// server. A listener that nobody accepts from would be real time, so the client
// has no network here at all.
func TestLooksGrowRareAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, err := NewServer(ServerOptions{Issuer: "https://one.invalid", Fallback: []string{"https://two.invalid"}})
		if err != nil {
			t.Fatal(err)
		}
		first := server.replicas[0]
		first.failed(errors.New("down"))
		if first.pause != firstProbe {
			t.Errorf("first look after %s, want %s", first.pause, firstProbe)
		}
		for range 10 {
			first.mu.Lock()
			first.look.Stop()
			first.lookLater()
			first.mu.Unlock()
		}
		if first.pause != lastProbe {
			t.Errorf("looks each %s, want %s at last", first.pause, lastProbe)
		}
		server.Close()
		first.mu.Lock()
		first.down = false
		first.mu.Unlock()
		first.failed(errors.New("down"))
		if first.isDown() {
			t.Error("a server that is closed still plans looks")
		}
		<-time.After(time.Hour) // a look that is left would call the network here
	})
}

func TestFailedServerAloneIsAskedAgain(t *testing.T) {
	first := newRegion(t, tokentest.NewKey(t, "ES256", "first"), "")
	server := newTestServer(t, ServerOptions{Issuer: first.issuer, Observe: func(string, error) { t.Error("told of the only server") }})
	first.status.Store(http.StatusBadGateway)
	if got := keyOf(t, server); got != "none" {
		t.Fatalf("keys of %s", got)
	}
	first.status.Store(0)
	if got := keyOf(t, server); got != "first" {
		t.Errorf("keys of %s", got)
	}
}

func TestMoved(t *testing.T) {
	const issuer, base = "https://idp.example.com/realms/main", "https://eu.idp.example.com/realms/main"
	tests := map[string]struct{ endpoint, issuer, base, want string }{
		"below the issuer":        {issuer + "/certs", issuer, base, base + "/certs"},
		"beside it on its host":   {"https://idp.example.com/keys?a=b", issuer, base, "https://eu.idp.example.com/keys?a=b"},
		"on the fallback already": {base + "/certs", issuer, base, base + "/certs"},
		"on a third host":         {"https://keys.example.net/k", issuer, base, "https://keys.example.net/k"},
		"on a host that looks so": {"https://idp.example.com.evil.example/k", issuer, base, "https://idp.example.com.evil.example/k"},
		"below another path":      {issuer + "/certs", issuer, "https://eu.example.com/eu/", "https://eu.example.com/eu/certs"},
		"issuer with a slash":     {"https://idp.example.com/keys", "https://idp.example.com/", "https://eu.example.com", "https://eu.example.com/keys"},
		"the first itself":        {issuer + "/certs", issuer, issuer, issuer + "/certs"},
		"no endpoint":             {"", issuer, base, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := moved(test.endpoint, test.issuer, test.base); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
