package handlers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/introspection"
)

// BenchmarkIntrospected is a request through token_auth whose token was
// introspected a moment ago: an opaque one, and a JWT of an issuer that is asked
// about every token. plain is a remembered JWT of an issuer that is not asked.
func BenchmarkIntrospected(b *testing.B) {
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	for _, name := range []string{"plain", "opaque", "always"} {
		for _, callers := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				house := newHotHouse(b, callers)
				switch name {
				case "opaque":
					for i := range house.tokens {
						house.tokens[i] = fmt.Sprintf("opaque-%048d", i)
					}
					house.asks(b, false)
				case "always":
					house.asks(b, true)
				}
				house.run(b, through(house.auth, next))
			})
		}
	}
}

// asks makes the house ask its issuer about opaque tokens, or about JWTs too.
func (h *hotHouse) asks(b *testing.B, always bool) {
	b.Helper()
	state := introspection.NewState(introspection.DefaultCacheEntries, introspection.DefaultCacheBytes)
	b.Cleanup(state.Close)
	introspector, err := introspection.New(introspection.Config{
		Issuer: h.issuer.URL, Client: hotIntrospection{issuer: h.issuer.URL}, State: state, CacheTTL: time.Hour,
	})
	if err != nil {
		b.Fatal(err)
	}
	router, err := introspection.NewRouter(introspection.Route{Introspector: introspector})
	if err != nil {
		b.Fatal(err)
	}
	var asked []*introspection.Introspector
	if h.issuer.Asked = always; always {
		asked = append(asked, introspector)
	}
	h.auth.verifier = introspection.NewGate(h.verifier, router, asked...)
}

// A hotIntrospection calls every token good, without a network.
type hotIntrospection struct{ issuer string }

func (hotIntrospection) ID() string                              { return "gateway" }
func (hotIntrospection) Identity() []string                      { return []string{"gateway"} }
func (hotIntrospection) Timeout() time.Duration                  { return time.Minute }
func (hotIntrospection) SignsIntrospection(context.Context) bool { return false }

func (s hotIntrospection) Post(context.Context, authserver.Endpoint, url.Values, string) (*authserver.Answer, error) {
	now := time.Now()
	claims := tokentest.Claims(s.issuer, map[string]any{
		"active": true, "exp": now.Add(2 * time.Hour).Unix(), "auth_time": now.Unix(),
		"roles": []any{"customer", "reviewer"}, "email": "user@example.com",
	})
	return &authserver.Answer{
		Status: http.StatusOK, MediaType: "application/json", Body: tokentest.JSON(claims), SentAt: now,
	}, nil
}
