package gatehouse

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const clearedIssuer = "https://idp.example.com"

// remembering is an app that remembers that many tokens, with jti from 0 on, and makes
// its passes until the test ends.
func remembering(tb testing.TB, tokens int) *App {
	tb.Helper()
	memory, cache := store.NewMemory(0), token.NewCache(2*tokens, 1<<30)
	tb.Cleanup(cache.Close)
	app := &App{revoked: revocation.NewState(memory), log: slog.New(slog.DiscardHandler)}
	app.derived.remembered, app.derived.revoked, app.derived.due.wake = cache, app.revoked, make(chan struct{}, 1)
	tb.Cleanup(app.revoked.Subscribe(app.derived.told))
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { app.derived.clearRevoked(ctx, app.log) })
	tb.Cleanup(func() {
		stop()
		running.Wait()
	})
	remember(tb, cache, tokens)
	return app
}

func remember(tb testing.TB, cache *token.Cache, tokens int) {
	tb.Helper()
	secret := []byte("0123456789abcdef0123456789abcdef")
	document := tokentest.JSON(map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": tokentest.Encode(secret)}}})
	set, err := jose.ParseSecrets(document, jose.Symmetric())
	if err != nil {
		tb.Fatal(err)
	}
	verifier := token.NewVerifier(token.VerifierConfig{Cache: cache, Issuers: []*token.Issuer{{
		URL: clearedIssuer, Algorithms: jose.Symmetric(), Audience: token.Audience{Values: []string{"api"}},
		Keys: keys.NewStatic(clearedIssuer, keys.NewState(), set),
	}}})
	for i := range tokens {
		claims := tokentest.Claims(clearedIssuer, map[string]any{"aud": "api", "jti": fmt.Sprint(i)})
		raw := token.NewRaw(tokentest.HS256(secret, map[string]any{"alg": "HS256", "typ": "at+jwt"}, claims))
		if _, _, err := verifier.Verify(tb.Context(), raw); err != nil {
			tb.Fatal(err)
		}
	}
}

func revokeID(tb testing.TB, app *App, id string) {
	tb.Helper()
	event := revocation.Event{Kind: revocation.KindID, Issuer: clearedIssuer, Value: id, Until: time.Now().Add(time.Hour)}
	if _, err := app.revoked.Revoke(tb.Context(), event); err != nil {
		tb.Fatal(err)
	}
}

// Who may revoke its own tokens cannot have a node look at all that it remembers each
// time; and what an operator is told counts nothing twice.
func TestManyRevocationsMakeFewPasses(t *testing.T) {
	const revoked, left = 1000, 50
	app := remembering(t, revoked+left)
	for i := range revoked {
		revokeID(t, app, fmt.Sprint(i))
	}
	if passes := app.derived.due.passes.Load(); passes > revoked/20 {
		t.Errorf("%d revocations made %d passes", revoked, passes)
	}
	all := func(*revocation.Facts) bool { return true }
	if counts := app.CountDerived(all); counts[derivedRemembered] != left {
		t.Errorf("%d tokens are counted, want the %d that were not revoked", counts[derivedRemembered], left)
	}
	passes := app.derived.due.passes.Load()
	if counts := app.CountDerived(all); counts[derivedRemembered] != left || app.derived.due.passes.Load() != passes {
		t.Errorf("counting again: %v, %d passes", counts, app.derived.due.passes.Load()-passes)
	}
}

// BenchmarkRevocation is one revocation on a node that remembers many tokens. With
// passes it is followed by the pass that many of them share.
func BenchmarkRevocation(b *testing.B) {
	for _, tokens := range []int{10_000, 100_000} {
		for name, after := range map[string]func(*App){
			"": func(*App) {}, "-and-a-pass": func(a *App) { a.derived.clear(a.log) },
		} {
			b.Run(fmt.Sprint(tokens, name), func(b *testing.B) {
				app := remembering(b, tokens)
				for i := 0; b.Loop(); i++ {
					revokeID(b, app, fmt.Sprint("other-", i))
					after(app)
				}
			})
		}
	}
}
