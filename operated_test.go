package gatehouse

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// TestReadyNeedsTheList holds that a node is ready once the list was read, and only
// for as long as the store is within its bound.
func TestReadyNeedsTheList(t *testing.T) {
	memory := store.NewMemory(0)
	if err := memory.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = memory.Close() }()
	app := &App{revoked: revocation.NewState(memory)}
	if reasons := app.Unready(); len(reasons) != 1 || !strings.Contains(reasons[0], "has not been read yet") {
		t.Errorf("before the list was read: %v", reasons)
	}
	if err := app.revoked.Load(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if reasons := app.Unready(); len(reasons) != 0 {
		t.Errorf("after it: %v", reasons)
	}
	bound := app.bound().MaxStaleness
	if reasons := app.listUnready(time.Now().Add(bound - time.Second)); len(reasons) != 0 {
		t.Errorf("within the bound: %v", reasons)
	}
	if reasons := app.listUnready(time.Now().Add(bound + time.Second)); len(reasons) != 1 || !strings.Contains(reasons[0], "max_staleness is 30s") {
		t.Errorf("beyond it: %v", reasons)
	}
}

// What was minted of a token that was nearly too old lives on for a while, and a
// revocation for as long.
func TestAgeOfWhatWasMinted(t *testing.T) {
	app := new(App)
	for _, bound := range []time.Duration{0, time.Hour} {
		if got := app.maxAge(bound); got != bound {
			t.Errorf("%v without sign: %v", bound, got)
		}
	}
	app.Sign = new(config.Sign)
	if got := app.maxAge(time.Hour); got != time.Hour+12*time.Minute {
		t.Errorf("with sign: %v", got)
	}
	if got := app.maxAge(0); got != 0 {
		t.Errorf("without a bound: %v", got)
	}
}
