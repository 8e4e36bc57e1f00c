package revocation

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// A sharedMemory is a memory that says several nodes have it.
type sharedMemory struct{ *store.Memory }

func (sharedMemory) Shared() bool { return true }

// A node that starts while others write the list again waits for them, but not for
// one that is gone, nor for ever.
func TestStartDuringARefill(t *testing.T) {
	for name, test := range map[string]struct {
		marked  time.Duration // how long others say so
		waits   bool
		patient time.Duration // how long it has waited already
	}{
		"others write":      {time.Hour, true, 0},
		"nobody writes":     {0, false, 0},
		"whoever did, died": {-time.Second, false, 0},
		"too long":          {time.Hour, false, refillPatience},
	} {
		t.Run(name, func(t *testing.T) {
			log := sharedMemory{store.NewMemory(0)}
			if test.marked != 0 {
				if err := log.Put(t.Context(), refilling, refillName, []byte{1}, time.Now().Add(test.marked)); err != nil {
					t.Fatal(err)
				}
			}
			f := &follower{State: NewState(log), log: slog.New(slog.DiscardHandler)}
			if test.patient > 0 {
				f.since = time.Now().Add(-test.patient)
			}
			for range 3 {
				if err := f.step(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if f.Loaded() == test.waits {
				t.Errorf("it has the list: %v", f.Loaded())
			}
		})
	}
}

// A node that brings its list along waits for nobody, and says that it writes.
func TestRefillIsSaid(t *testing.T) {
	before, after := NewState(store.NewMemory(0)), NewState(sharedMemory{store.NewMemory(0)})
	if _, err := before.Revoke(t.Context(), Event{Kind: KindIssuer, Issuer: idpURL, Until: nextHour}); err != nil {
		t.Fatal(err)
	}
	defer after.Succeed(before, false)()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := after.Load(ctx, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	_, found, err := after.sharedValues().Get(t.Context(), refilling, refillName)
	if err != nil || !found {
		t.Errorf("it is not said, %v", err)
	}
}
