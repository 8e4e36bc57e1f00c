package keys_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

var errDown = errors.New("the issuer is down")

// A fakeIssuer publishes keys as a test wants and notes when it was asked.
type fakeIssuer struct {
	mu    sync.Mutex
	set   jose.KeySet
	life  time.Duration
	takes time.Duration // how long an answer takes; it is made when it begins
	hangs bool
	err   error
	asked []time.Time
}

// KeySet implements keys.Fetcher.
func (f *fakeIssuer) KeySet(ctx context.Context) (jose.KeySet, time.Duration, error) {
	f.mu.Lock()
	f.asked = append(f.asked, time.Now())
	set, life, takes, hangs, err := f.set, f.life, f.takes, f.hangs, f.err
	f.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return jose.KeySet{}, 0, ctx.Err()
	}
	select {
	case <-ctx.Done():
		return jose.KeySet{}, 0, ctx.Err()
	case <-time.After(takes):
		return set, life, err
	}
}

func (f *fakeIssuer) change(change func(*fakeIssuer)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *fakeIssuer) publish(tb testing.TB, published ...*tokentest.Key) {
	tb.Helper()
	set := parsed(tb, published...)
	f.change(func(f *fakeIssuer) { f.set = set })
}

// times are when the issuer was asked, oldest first.
func (f *fakeIssuer) times() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.asked...)
}

func parsed(tb testing.TB, published ...*tokentest.Key) jose.KeySet {
	tb.Helper()
	set, err := jose.ParseKeySet(tokentest.Set(published...))
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// newIssuer publishes these keys, with a life of ten minutes.
func newIssuer(tb testing.TB, published ...*tokentest.Key) *fakeIssuer {
	tb.Helper()
	issuer := &fakeIssuer{life: 10 * time.Minute}
	issuer.publish(tb, published...)
	return issuer
}

// source asks the issuer, as the gateway does by default.
func (f *fakeIssuer) source(change func(*keys.Config)) *keys.Source {
	config := keys.Config{Issuer: "https://issuer.example.com", State: keys.NewState(), Fetcher: f}
	if change != nil {
		change(&config)
	}
	return keys.NewSource(config)
}

// find looks for a key of ES256 and fails the test unless the error is as wanted.
func find(tb testing.TB, source *keys.Source, kid string, want error) []*jose.Key {
	tb.Helper()
	found, err := source.Find(context.Background(), kid, "ES256")
	if !errors.Is(err, want) || (want == nil && (err != nil || len(found) == 0)) {
		tb.Errorf("finding %q: %d keys, error %v; want error %v", kid, len(found), err, want)
	}
	return found
}

// run lets the source renew in the background until the returned function is
// called.
func run(source *keys.Source) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		source.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// elapse lets time pass in a bubble of synctest, where it costs none.
func elapse(d time.Duration) { <-time.After(d) }
