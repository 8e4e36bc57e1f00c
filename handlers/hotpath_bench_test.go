package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/introspection"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// BenchmarkRemembered is a request whose token is remembered, through token_auth
// and token_require together and through all three directives with the exchange
// cached too. What Caddy itself makes for a request is made outside the clock.
func BenchmarkRemembered(b *testing.B) {
	for _, callers := range []int{1, 10_000} {
		house := newHotHouse(b, callers)
		next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
		required := through(house.require, next)
		chains := []struct {
			name  string
			chain caddyhttp.Handler
		}{
			{"auth+require", through(house.auth, required)},
			{"auth+require+exchange", through(house.auth, through(house.require, through(house.exchange, next)))},
		}
		for _, tested := range chains {
			b.Run(fmt.Sprintf("%s/callers=%d", tested.name, callers), func(b *testing.B) {
				house.run(b, tested.chain)
			})
		}
	}
}

func through(handler caddyhttp.MiddlewareHandler, next caddyhttp.Handler) caddyhttp.Handler {
	return caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		return handler.ServeHTTP(w, r, next)
	})
}

// A hotHouse is the three directives as the app puts them together, and the
// callers whose tokens they remember.
type hotHouse struct {
	auth     *TokenAuth
	require  *TokenRequire
	exchange *TokenExchange
	tokens   []string
	sign     func(changes map[string]any) string // another token of the issuer
	issuer   *token.Issuer
	verifier *token.Verifier // of the JWTs
}

func newHotHouse(b *testing.B, callers int) *hotHouse {
	b.Helper()
	const issuer = "https://idp.example.com/realms/main"
	key := tokentest.NewKey(b, "EdDSA", "k1")
	set, err := jose.ParseKeySet(tokentest.Set(key))
	if err != nil {
		b.Fatal(err)
	}
	cache := token.NewCache(100_000, 64<<20)
	b.Cleanup(cache.Close)
	app := newHotApp(b)
	trusted := &token.Issuer{
		URL: issuer, Algorithms: jose.Asymmetric(), Leeway: 30 * time.Second,
		Audience: token.Audience{Values: []string{"https://api.example.com"}},
		Keys:     keys.NewStatic(issuer, keys.NewState(), set),
	}
	verifier := token.NewVerifier(token.VerifierConfig{Cache: cache, Bindings: true, Issuers: []*token.Issuer{trusted}})
	house := &hotHouse{
		issuer: trusted, verifier: verifier,
		auth: &TokenAuth{
			privacy: privacyOf(new(config.TokenAuth)), verifier: introspection.NewGate(verifier, nil), sender: newSender(b),
		},
		require:  &TokenRequire{app: app, trail: app.trail, metrics: app.metrics},
		exchange: &TokenExchange{app: app, trail: app.trail, label: "orders", block: new(config.Exchange), counted: app.metrics.Exchanges("orders")},
	}
	house.auth.join(app)
	house.exchange.aim("Authorization")
	rules, err := policy.New([]policy.Rule{{Kind: policy.Scope, Values: []string{"orders:read"}}})
	if err != nil {
		b.Fatal(err)
	}
	house.require.obey(rules)
	state := exchange.NewState(exchange.DefaultCacheEntries, exchange.DefaultCacheBytes)
	b.Cleanup(state.Close)
	if house.exchange.exchanger, err = exchange.New(exchange.Config{
		Leg:   exchange.Leg{Client: hotServer{issuer: issuer}, Audience: []string{"orders"}, Scope: []string{"orders:read"}},
		State: state, Scheme: "Bearer",
	}); err != nil {
		b.Fatal(err)
	}
	house.sign = func(changes map[string]any) string { return key.Sign(nil, tokentest.Claims(issuer, changes)) }
	for caller := range callers {
		house.tokens = append(house.tokens, key.Sign(nil, tokentest.Claims(issuer, map[string]any{
			"sub": fmt.Sprintf("user-%06d", caller), "exp": time.Now().Add(time.Hour).Unix(),
			"auth_time": time.Now().Unix(), "roles": []any{"customer", "reviewer"}, "email": "user@example.com",
		})))
	}
	return house
}

func newSender(b *testing.B) *proof.Sender {
	b.Helper()
	dpop, err := proof.NewDPoP(proof.DPoPConfig{Marks: store.NewMemory(0)})
	if err != nil {
		b.Fatal(err)
	}
	sender, err := proof.NewSender(dpop, proof.Kinds{})
	if err != nil {
		b.Fatal(err)
	}
	return sender
}

// run sends prepared requests through the chain in batches, the clock standing
// while the next ones are prepared.
func (h *hotHouse) run(b *testing.B, chain caddyhttp.Handler) {
	b.Helper()
	serve := func(w http.ResponseWriter, r *http.Request) {
		if err := chain.ServeHTTP(w, r); err != nil {
			b.Fatal(err)
		}
	}
	for caller := range h.tokens {
		w, r := h.request(b.Context(), caller)
		serve(w, r)
		if status := w.(*hotWriter).status; status != 0 {
			b.Fatalf("caller %d is refused with %d", caller, status)
		}
	}
	const batch = 1000
	writers, requests := make([]http.ResponseWriter, batch), make([]*http.Request, batch)
	var perRequest []float64
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; done += batch {
		b.StopTimer()
		size := min(batch, b.N-done)
		for i := range size {
			writers[i], requests[i] = h.request(b.Context(), done+i)
		}
		b.StartTimer()
		began := time.Now()
		for i := range size {
			serve(writers[i], requests[i])
		}
		perRequest = append(perRequest, float64(time.Since(began))/float64(size))
	}
	// Not moved by the batches in which somebody else had the processor.
	b.ReportMetric(slices.Sorted(slices.Values(perRequest))[len(perRequest)/2], "median-ns/request")
}

// request is a request as Caddy's server hands it to the first handler.
func (h *hotHouse) request(ctx context.Context, caller int) (http.ResponseWriter, *http.Request) {
	repl := caddy.NewReplacer()
	repl.Map(func(string) (any, bool) { return nil, false }) // {http.*}
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, repl)
	ctx = context.WithValue(ctx, caddyhttp.ServerCtxKey, new(caddyhttp.Server))
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, map[string]any{
		"start_time": time.Now(), "client_ip": "192.0.2.1", "trusted_proxy": false, "uuid": "",
	})
	r := (&http.Request{
		Method: http.MethodGet, Host: "api.example.com", URL: &url.URL{Path: "/orders/17"},
		Header: http.Header{
			"Accept": {"application/json"}, "User-Agent": {"bench"},
			"Authorization": {"Bearer " + h.tokens[caller%len(h.tokens)]},
		},
	}).WithContext(ctx)
	return &hotWriter{header: http.Header{"Server": {"Caddy"}}}, r
}

// A hotWriter throws the answer away.
type hotWriter struct {
	header http.Header
	status int
}

func (w *hotWriter) Header() http.Header          { return w.header }
func (w *hotWriter) WriteHeader(status int)       { w.status = status }
func (*hotWriter) Write(data []byte) (int, error) { return len(data), nil }

// A hotServer issues tokens without a network.
type hotServer struct{ issuer string }

func (s hotServer) Issuer() string       { return s.issuer }
func (hotServer) Identity() []string     { return []string{"gateway"} }
func (hotServer) Timeout() time.Duration { return time.Minute }
func (hotServer) Token(context.Context, url.Values) (*authserver.TokenResponse, error) {
	return &authserver.TokenResponse{
		AccessToken: authserver.NewSecret("issued"), TokenType: "Bearer", IssuedTokenType: exchange.TypeAccessToken,
		ExpiresIn: time.Hour, HasExpiresIn: true, SentAt: time.Now(),
	}, nil
}

// A hotApp has the metrics and the trail that the app has; grants are not
// written, as it is by default.
type hotApp struct {
	Services // nil: what is asked while provisioning only

	metrics *metrics.Metrics
	trail   *audit.Trail
	known   *Known
}

func newHotApp(b *testing.B) hotApp {
	b.Helper()
	counted, err := metrics.New(prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	// Unlike slog.DiscardHandler this one is enabled, as Caddy's loggers are.
	enabled := slog.New(slog.NewTextHandler(io.Discard, nil)) //nolint:sloglint // see above
	return hotApp{metrics: counted, trail: audit.NewTrail(enabled), known: new(Known)}
}

func (hotApp) Config() *config.Gatehouse                    { return new(config.Gatehouse) }
func (hotApp) Verifier(*config.TokenAuth) (Verifier, error) { return nil, errors.ErrUnsupported }

func (hotApp) Sender(*config.TokenAuth) (*proof.Sender, error) { return nil, errors.ErrUnsupported }

func (hotApp) Exchanger(*config.TokenExchange) (*exchange.Exchanger, error) {
	return nil, errors.ErrUnsupported
}

func (hotApp) Certificate(authserver.CertificateFiles) (*authserver.Certificate, error) {
	return nil, errors.ErrUnsupported
}
func (hotApp) PolicyRules(string) []policy.Rule { return nil }
func (hotApp) TrustsMany() bool                 { return false }
func (a hotApp) Known() *Known                  { return a.known }
func (a hotApp) Metrics() *metrics.Metrics      { return a.metrics }
func (a hotApp) Trail() *audit.Trail            { return a.trail }
func (hotApp) Log() *slog.Logger                { return slog.New(slog.DiscardHandler) }
