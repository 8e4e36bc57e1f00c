package statuslist_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/statuslist"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	issuerURL = "https://idp.example.com"
	listURL   = issuerURL + "/statuslists/1"
)

var errDown = errors.New("the server is down")

// A rig is an issuer that publishes lists, and who reads them.
type rig struct {
	*statuslist.Lists

	key      *tokentest.Key
	state    *statuslist.State
	keys     *keys.State
	config   statuslist.Config
	mu       sync.Mutex
	packed   []byte
	changes  map[string]any
	header   map[string]any
	text     func(uri string) string // in place of a good one
	life     time.Duration
	takes    time.Duration
	err      error
	asked    []string
	outcomes map[statuslist.Outcome]int
}

func newRig(tb testing.TB) *rig {
	tb.Helper()
	r := &rig{
		key: tokentest.NewKey(tb, "ES256", "k1"), state: statuslist.NewState(statuslist.NewWatches()), keys: keys.NewState(),
		packed: []byte{0b10, 0}, outcomes: map[statuslist.Outcome]int{},
	}
	places, err := statuslist.OriginOf(issuerURL)
	if err != nil {
		tb.Fatal(err)
	}
	r.config = statuslist.Config{
		Issuer: issuerURL, State: r.state, Places: places, Fetcher: r, Algorithms: jose.Asymmetric(), Leeway: 30 * time.Second,
		Observe: func(outcome statuslist.Outcome) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.outcomes[outcome]++
		},
	}
	r.trust(tb, r.key)
	return r
}

// trust makes these keys the issuer's.
func (r *rig) trust(tb testing.TB, published ...*tokentest.Key) {
	tb.Helper()
	set, err := jose.ParseKeySet(tokentest.Set(published...))
	if err != nil {
		tb.Fatal(err)
	}
	r.config.Keys = keys.NewStatic(issuerURL, r.keys, set)
	r.Lists = statuslist.New(r.config)
}

// StatusList implements statuslist.Fetcher.
func (r *rig) StatusList(ctx context.Context, uri string) (string, time.Duration, error) {
	r.mu.Lock()
	r.asked = append(r.asked, uri)
	takes, life, err, text := r.takes, r.life, r.err, r.text
	r.mu.Unlock()
	select {
	case <-ctx.Done():
		return "", 0, ctx.Err()
	case <-time.After(takes):
	}
	if text != nil || err != nil {
		if err != nil {
			return "", 0, err
		}
		return text(uri), life, nil
	}
	return r.signed(uri), life, nil
}

func (r *rig) signed(uri string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	header := tokentest.StatusListHeader()
	maps.Copy(header, r.header)
	return r.key.Sign(header, tokentest.StatusListClaims(uri, tokentest.StatusList(1, r.packed), r.changes))
}

func (r *rig) change(change func(*rig)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
}

// seen is how often each outcome was told of.
func (r *rig) seen() map[statuslist.Outcome]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.outcomes)
}

func (r *rig) fetches() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.asked)
}

// check holds an entry of the list against what is wanted of it: nil or a reason.
func (r *rig) check(tb testing.TB, index uint64, want error) {
	tb.Helper()
	r.checkAt(tb, listURL, index, want)
}

func (r *rig) checkAt(tb testing.TB, uri string, index uint64, want error) {
	tb.Helper()
	if err := r.Check(context.Background(), token.Status{URI: uri, Index: index}); !errors.Is(err, want) {
		tb.Errorf("entry %d of %s: %v; want %v", index, uri, err, want)
	}
}

// run renews in the background until the returned function is called.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	lists := r.Lists
	go func() {
		defer close(ended)
		lists.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// elapse lets time pass in a bubble of synctest, where it costs none.
func elapse(d time.Duration) { <-time.After(d) }
