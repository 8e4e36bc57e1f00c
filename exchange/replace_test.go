package exchange

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A replacing is an exchange in fake time whose server makes another token each time.
type replacing struct {
	*Exchanger
	t       *testing.T
	server  *slowServer
	caller  Caller
	waiters sync.WaitGroup
}

// inReplacing runs a test of one.
func inReplacing(t *testing.T, change func(*Config), test func(r *replacing)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{takes: time.Second, counts: true}
		config := Config{Leg: Leg{Client: server}, State: NewState(100, DefaultCacheBytes)}
		defer config.State.Close()
		if change != nil {
			change(&config)
		}
		x, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		r := &replacing{Exchanger: x, t: t, server: server, caller: callerAt(time.Now(), "t")}
		test(r)
		r.waiters.Wait()
	})
}

// expect has somebody wait for a token, beside the test.
func (r *replacing) expect(want string, ask func() (*Issued, error)) {
	r.t.Helper()
	r.waiters.Go(func() {
		if issued, err := ask(); err != nil || issued.Token.Reveal() != want {
			r.t.Errorf("%v, %v, want %s", issued, err, want)
		}
	})
	synctest.Wait()
}

func (r *replacing) exchange() (*Issued, error) { return r.Exchange(r.t.Context(), r.caller) }

func (r *replacing) replace(refused *Issued) func() (*Issued, error) {
	return func() (*Issued, error) { return r.Replace(r.t.Context(), r.caller, refused) }
}

// Whoever comes while a refused token is being replaced waits for the replacement, and
// goes on to when the one who began it has left.
func TestReplaceForThoseWhoCome(t *testing.T) {
	inReplacing(t, nil, func(r *replacing) {
		refused, err := r.exchange()
		if err != nil {
			t.Fatal(err)
		}
		leader, leave := context.WithCancel(r.t.Context())
		r.waiters.Go(func() {
			if _, err := r.Replace(leader, r.caller, refused); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 3 {
			r.expect("issued-2", r.exchange)
			r.expect("issued-2", r.replace(refused))
		}
		leave()
		r.waiters.Wait()
		r.expect("issued-2", r.exchange)
		if calls := r.server.calls.Load(); calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}

// A call that is under way when a token is refused brings the next one.
func TestReplaceByWhatIsUnderWay(t *testing.T) {
	inReplacing(t, nil, func(r *replacing) {
		refused, err := r.exchange()
		if err != nil {
			t.Fatal(err)
		}
		key, err := r.key(nil, r.caller)
		if err != nil {
			t.Fatal(err)
		}
		kept := r.state.freshEntry(key, time.Now())
		r.waiters.Go(func() { r.renewAhead(key, kept, r.caller) })
		synctest.Wait()
		r.expect("issued-2", r.replace(refused))
		r.expect("issued-2", r.exchange)
		r.waiters.Wait()
		r.expect("issued-2", r.exchange)
		if calls := r.server.calls.Load(); calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}

// A slowShelf takes its time to say what it has found.
type slowShelf struct{ *shelf }

func (s slowShelf) Get(ctx context.Context, name string) ([]byte, bool, error) {
	value, found, err := s.shelf.Get(ctx, name)
	<-time.After(100 * time.Millisecond)
	return value, found, err
}

// What another node had found before the refusal does not come back into the memory, and
// only who waited for it then gets it.
func TestReplacedIsNotFoundAgain(t *testing.T) {
	var level *SecondLevel
	share := func(c *Config) {
		level = NewSecondLevel(slowShelf{newShelf()}, []byte(fleetKey))
		c.Sharing = Sharing{Level: level, Exchange: []byte("orders")}
	}
	inReplacing(t, share, func(r *replacing) {
		refused, err := r.exchange()
		if err != nil {
			t.Fatal(err)
		}
		level.running.Wait()
		key, err := r.key(nil, r.caller)
		if err != nil {
			t.Fatal(err)
		}
		r.state.drop(key, refused) // as on a node that has not asked yet
		r.expect("issued-1", r.exchange)
		r.expect("issued-2", r.replace(refused))
		r.expect("issued-2", r.exchange)
		<-time.After(500 * time.Millisecond)
		r.expect("issued-2", r.exchange)
		r.waiters.Wait()
		level.running.Wait()
		if calls := r.server.calls.Load(); calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}

// Who waits for a replacement and is revoked meanwhile gets nothing, and nothing is kept.
func TestReplaceForThoseWhoComeAndAreRevoked(t *testing.T) {
	var gone atomic.Bool
	revocable := func(c *Config) { c.Revoked = func(*token.Token) bool { return gone.Load() } }
	inReplacing(t, revocable, func(r *replacing) {
		refused, err := r.exchange()
		if err != nil {
			t.Fatal(err)
		}
		for _, ask := range []func() (*Issued, error){r.replace(refused), r.exchange} {
			r.waiters.Go(func() {
				if issued, err := ask(); OutcomeOf(issued, err) != OutcomeSubjectRejected || !errors.Is(err, errRevoked) {
					t.Errorf("issued %v, error %v", issued, err)
				}
			})
			synctest.Wait()
		}
		gone.Store(true)
		r.state.Evict(func(Origin) bool { return true })
		r.waiters.Wait()
		if r.state.Len() != 0 || r.server.calls.Load() != 2 {
			t.Errorf("%d are kept after %d calls", r.state.Len(), r.server.calls.Load())
		}
	})
}

// A server that issues the refused token once more has nothing for anybody who waits.
func TestReplaceBringsTheSameForNobody(t *testing.T) {
	inReplacing(t, nil, func(r *replacing) {
		r.server.counts = false
		refused, err := r.exchange()
		if err != nil {
			t.Fatal(err)
		}
		for _, ask := range []func() (*Issued, error){r.replace(refused), r.exchange} {
			r.waiters.Go(func() {
				if issued, err := ask(); OutcomeOf(issued, err) != OutcomeUpstreamRefused {
					t.Errorf("issued %v, error %v", issued, err)
				}
			})
			synctest.Wait()
		}
		r.waiters.Wait()
		if calls := r.server.calls.Load(); calls != 2 {
			t.Errorf("%d calls, want 2", calls)
		}
	})
}
