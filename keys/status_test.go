package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A lamp is a fetcher that fails as it is told.
type lamp struct {
	mu  sync.Mutex
	set jose.KeySet
	err error
}

func (l *lamp) KeySet(context.Context) (jose.KeySet, time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.set, 0, l.err
}

func (l *lamp) turn(set jose.KeySet, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set, l.err = set, err
}

func TestStatus(t *testing.T) {
	set, err := jose.ParseKeySet(tokentest.Set(tokentest.NewKey(t, "ES256", "k1")))
	if err != nil {
		t.Fatal(err)
	}
	set.Dropped = []jose.DroppedKey{{}}
	synctest.Test(t, func(t *testing.T) {
		fetcher := &lamp{err: fmt.Errorf("fetching: %w", authserver.ErrUnreachable)}
		source := NewSource(Config{Issuer: "i", State: NewState(), Fetcher: fetcher, Refresh: time.Minute, MaxStale: time.Hour})
		if status := source.Status(); status.Loaded || status.Down || !status.Next.IsZero() || status.Usable || status.Static {
			t.Errorf("at first: %+v", status)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go source.Run(ctx)
		synctest.Wait()
		if status := source.Status(); !status.Down || status.Fault != FaultUnreachable || !status.Failed.Equal(time.Now()) || !status.Next.After(time.Now()) {
			t.Errorf("while it is down: %+v", status)
		}
		fetcher.turn(set, nil)
		<-time.After(30 * time.Second)
		status := source.Status()
		if status.Down || !status.Loaded || !status.Usable || status.Stale || status.Fault != FaultUnreachable || len(status.Keys) != 1 || status.Keys[0].ID != "k1" || status.Dropped != 1 {
			t.Errorf("when it came back: %+v", status)
		}
		fetcher.turn(jose.KeySet{}, context.DeadlineExceeded)
		<-time.After(10 * time.Minute)
		if status := source.Status(); !status.Down || !status.Stale || !status.Usable || status.Fault != FaultTimeout {
			t.Errorf("stale: %+v", status)
		}
		<-time.After(time.Hour)
		if status := source.Status(); status.Usable || !status.Loaded {
			t.Errorf("expired: %+v", status)
		}
		cancel()
		synctest.Wait()
		if status := source.Status(); !status.Next.IsZero() {
			t.Errorf("when nobody renews: %+v", status)
		}
	})
}

func TestFaults(t *testing.T) {
	for want, err := range map[Fault]error{
		"": nil, FaultTimeout: authserver.ErrTimeout, FaultUnreachable: authserver.ErrUnreachable,
		FaultBadAnswer: fmt.Errorf("reading: %w", jose.ErrKeySet), FaultOther: errors.New("the disk"),
	} {
		if got := faultOf(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
