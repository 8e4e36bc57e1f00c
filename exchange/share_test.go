package exchange

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// sameUser makes a caller of one user with a token of its own.
func (r rig) sameUser(text, issuer, user, client string) Caller {
	caller := r.caller(text, "orders:read")
	caller.Token.Issuer, caller.Token.Subject, caller.Token.Client = issuer, user, client
	return caller
}

func (r rig) exchanged(t *testing.T, caller Caller) Outcome {
	t.Helper()
	issued, err := r.Exchange(t.Context(), caller)
	if err != nil {
		t.Fatal(err)
	}
	return OutcomeOf(issued, nil)
}

// Section 3.5 of the rules for the cache: whoever comes with ever new tokens pushes
// out its own and nobody else's.
func TestExchangeShareOfOneCaller(t *testing.T) {
	r := newRig(t, func(c *Config) { c.State = newState(t, 200) })
	const others, greedy = 60, 400
	for i := range others {
		r.exchanged(t, r.caller(fmt.Sprint("other ", i), "orders:read"))
	}
	for i := range greedy {
		r.exchanged(t, r.sameUser(fmt.Sprint("greedy ", i), testIssuer, "greedy", ""))
	}
	r.state.issued.CleanUp()
	if n := r.state.Len(); n != others+shareLeast {
		t.Errorf("%d are remembered, want %d of others and %d of the greedy one", n, others, shareLeast)
	}
	for i := range others {
		if got := r.exchanged(t, r.caller(fmt.Sprint("other ", i), "orders:read")); got != OutcomeHit {
			t.Errorf("of another caller: %s", got)
		}
	}
	for i := greedy - shareLeast; i < greedy; i++ {
		if got := r.exchanged(t, r.sameUser(fmt.Sprint("greedy ", i), testIssuer, "greedy", "")); got != OutcomeHit {
			t.Errorf("of its newest: %s", got)
		}
	}
	if got := r.exchanged(t, r.sameUser("greedy 0", testIssuer, "greedy", "")); got != OutcomeOK {
		t.Errorf("of its oldest: %s", got)
	}
}

// The same name at another issuer is somebody else; where a token names no user its
// client has the share.
func TestExchangeShareHasOneOwner(t *testing.T) {
	r := newRig(t, func(c *Config) { c.SubjectIssuers = []string{testIssuer, "https://b"} })
	for _, who := range [][3]string{{testIssuer, "alice", "app"}, {"https://b", "alice", "app"}, {testIssuer, "", "app"}, {testIssuer, "app", ""}} {
		for i := range 3 * shareLeast {
			r.exchanged(t, r.sameUser(fmt.Sprint(who, i), who[0], who[1], who[2]))
		}
	}
	r.state.issued.CleanUp()
	if n := r.state.Len(); n != 4*shareLeast {
		t.Errorf("%d are remembered, want the shares of four", n)
	}
	for i := range 3 * shareLeast {
		r.exchanged(t, r.sameUser(fmt.Sprint("nobody", i), testIssuer, "", ""))
	}
	r.state.issued.CleanUp()
	if n := r.state.Len(); n != 7*shareLeast {
		t.Errorf("%d are remembered with those of tokens that name nobody", n)
	}
}

// What the cache lets go is out of the share, what is replaced is in it once, and a
// hundredth is more than the least in a large memory.
func TestExchangeShareIsFreed(t *testing.T) {
	r := newRig(t, func(c *Config) { c.State = newState(t, 10_000) })
	alice := func(i int) Caller { return r.sameUser(fmt.Sprint("alice ", i), testIssuer, "alice", "") }
	for i := range 300 {
		r.exchanged(t, alice(i))
	}
	r.state.issued.CleanUp()
	if n := r.state.Len(); n < 95 || n > 100 {
		t.Errorf("%d are remembered, want a hundredth of 10,000", n)
	}
	for range 5 {
		issued, err := r.Exchange(t.Context(), alice(299))
		if err != nil {
			t.Fatal(err)
		}
		r.clock.pass(replaceAgain)
		if _, err := r.Replace(t.Context(), alice(299), issued); err != nil {
			t.Fatal(err)
		}
	}
	held := r.state.shares.held[originOf(alice(0).Token).owner()]
	if held == nil || len(held.entries) != r.state.Len() || held.weight > r.state.shares.most {
		t.Errorf("the share is %+v, remembered are %d", held, r.state.Len())
	}
	r.Evict(func(o Origin) bool { return o.Subject == "alice" })
	r.state.issued.CleanUp()
	if n := len(r.state.shares.held); n != 0 {
		t.Errorf("after all is evicted %d callers hold something", n)
	}
}

// The gateway's own tokens serve everybody and are in nobody's share.
func TestExchangeShareOfNobody(t *testing.T) {
	state := newState(t, 1000)
	now := newClock().now
	for i := range 100 {
		state.keep(cacheKey{byte(i)}, &Issued{Token: token.NewRaw("t")}, lifetime{freshUntil: now.Add(time.Hour), keepUntil: now.Add(time.Hour)},
			now, Origin{}, state.begin())
	}
	if n := state.Len(); n != 100 || len(state.shares.held) != 0 {
		t.Errorf("%d are remembered, %d callers hold something", n, len(state.shares.held))
	}
}

func TestExchangeShareConcurrently(t *testing.T) {
	r := newRig(t, nil)
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 75 {
				if _, err := r.Exchange(t.Context(), r.sameUser(fmt.Sprint(worker, i), testIssuer, fmt.Sprint(i%3), "")); err != nil {
					t.Error(err)
				}
				if i%25 == 0 {
					r.Evict(func(o Origin) bool { return o.Subject == "1" })
				}
			}
		})
	}
	all.Wait()
	r.state.issued.CleanUp()
	total := 0
	for _, mine := range r.state.shares.held {
		total += len(mine.entries)
	}
	if n := r.state.Len(); total != n || n > 3*shareLeast {
		t.Errorf("%d in shares, %d remembered", total, n)
	}
}
