package keys_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

func TestFindFetchesOnce(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		if _, ok := source.Age(); ok {
			t.Error("a source that has fetched nothing tells an age")
		}
		for range 3 {
			find(t, source, "k1", nil)
		}
		if n := len(issuer.times()); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
		elapse(time.Minute)
		if age, ok := source.Age(); !ok || age != time.Minute {
			t.Errorf("age %s, %t; want 1m0s", age, ok)
		}
	})
}

func TestFindChoosesByKidAndAlgorithm(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"), tokentest.NewKey(t, "RS256", "k2"), tokentest.NewKey(t, "ES256", "k3"))
	nameless := newIssuer(t, tokentest.NewKey(t, "ES256", ""), tokentest.NewKey(t, "ES256", "k1"))
	tests := map[string]struct {
		issuer *fakeIssuer
		kid    string
		alg    jose.Algorithm
		want   string
	}{
		"by kid":                        {issuer, "k3", "ES256", "[k3]"},
		"without kid all that fit":      {issuer, "", "ES256", "[k1 k3]"},
		"kid of another algorithm":      {issuer, "k2", "ES256", keys.ErrUnknown.Error()},
		"kid that is not there":         {issuer, "k9", "ES256", keys.ErrUnknown.Error()},
		"no key of the algorithm":       {issuer, "", "EdDSA", keys.ErrUnknown.Error()},
		"kid of a set with other kids":  {nameless, "k1", "ES256", "[k1]"},
		"kid that only a nameless fits": {nameless, "k7", "ES256", "[]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			found, err := test.issuer.source(nil).Find(t.Context(), test.kid, test.alg)
			got := fmt.Sprint(kids(found))
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func kids(found []*jose.Key) []string {
	ids := make([]string, 0, len(found))
	for _, key := range found {
		ids = append(ids, key.ID())
	}
	return ids
}

func TestUnknownKidsHaveABudget(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		find(t, source, "k1", nil)
		invent := func(from, to int) int {
			before := len(issuer.times())
			for i := from; i < to; i++ {
				find(t, source, fmt.Sprintf("invented-%d", i), keys.ErrUnknown)
			}
			return len(issuer.times()) - before
		}
		if n := invent(0, 100); n != 3 {
			t.Errorf("%d fetches for 100 invented kids, want a burst of 3", n)
		}
		for i := range 4 {
			elapse(30 * time.Second)
			if n := invent(1000+10*i, 1010+10*i); n != 1 {
				t.Errorf("%d fetches after another 30s, want 1", n)
			}
		}
		elapse(10 * time.Minute)
		if n := invent(2000, 2100); n != 3 {
			t.Errorf("%d fetches after a long rest, want 3 and no more", n)
		}
	})
}

func TestMissingKidIsRemembered(t *testing.T) {
	k1, k2 := tokentest.NewKey(t, "ES256", "k1"), tokentest.NewKey(t, "ES256", "k2")
	issuer := newIssuer(t, k1)
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		find(t, source, "k1", nil)
		find(t, source, "k2", keys.ErrUnknown)
		for range 50 {
			find(t, source, "k2", keys.ErrUnknown)
		}
		if n := len(issuer.times()); n != 2 {
			t.Errorf("%d fetches, want 2: the first set and one look for k2", n)
		}
		issuer.publish(t, k1, k2)
		elapse(31 * time.Second)
		find(t, source, "k2", nil)
	})
}

// A set that arrives for another reason ends the memory of what the one before
// it did not have.
func TestNewSetForgetsMissingKids(t *testing.T) {
	k1, k2, k3 := tokentest.NewKey(t, "ES256", "k1"), tokentest.NewKey(t, "ES256", "k2"), tokentest.NewKey(t, "ES256", "k3")
	issuer := newIssuer(t, k1)
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		find(t, source, "k1", nil)
		find(t, source, "k2", keys.ErrUnknown)
		issuer.publish(t, k3)
		find(t, source, "k3", nil)
		issuer.publish(t, k2, k3)
		find(t, source, "k2", nil)
	})
}

// A hundred requests that meet a rotated key at once all pass, for one fetch.
func TestRotationUnderLoad(t *testing.T) {
	k1, k2 := tokentest.NewKey(t, "ES256", "k1"), tokentest.NewKey(t, "ES256", "k2")
	for _, takes := range []time.Duration{0, 100 * time.Millisecond} {
		t.Run(takes.String(), func(t *testing.T) {
			issuer := newIssuer(t, k1)
			synctest.Test(t, func(t *testing.T) {
				source := issuer.source(nil)
				find(t, source, "k1", nil)
				issuer.publish(t, k1, k2)
				issuer.change(func(f *fakeIssuer) { f.takes = takes })
				together(100, func() { find(t, source, "k2", nil) })
				if n := len(issuer.times()); n != 2 {
					t.Errorf("%d fetches, want 2: the first set and one for everyone", n)
				}
			})
		})
	}
}

func together(n int, do func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(do)
	}
	all.Wait()
}

// A fetch that began before the issuer published a key says nothing about it.
func TestRotationWhileAFetchIsUnderWay(t *testing.T) {
	k1, k2 := tokentest.NewKey(t, "ES256", "k1"), tokentest.NewKey(t, "ES256", "k2")
	issuer := newIssuer(t, k1)
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		find(t, source, "k1", nil)
		issuer.change(func(f *fakeIssuer) { f.takes = time.Second })
		var early sync.WaitGroup
		early.Go(func() { find(t, source, "invented", keys.ErrUnknown) })
		synctest.Wait() // that fetch has the old keys in its hands
		issuer.publish(t, k1, k2)
		issuer.change(func(f *fakeIssuer) { f.takes = 0 })
		find(t, source, "k2", nil)
		early.Wait()
	})
}

func TestHangingIssuer(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		find(t, source, "k1", nil)
		issuer.change(func(f *fakeIssuer) { f.hangs = true })
		begin := time.Now()
		var waiting sync.WaitGroup
		waiting.Go(func() { find(t, source, "k2", keys.ErrUnavailable) })
		synctest.Wait()
		find(t, source, "k1", nil)
		find(t, source, "", nil)
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("a known key took %s behind a fetch that hangs", waited)
		}
		waiting.Wait()
		if waited := time.Since(begin); waited != 2*time.Second {
			t.Errorf("waited %s for an unknown key, want 2s", waited)
		}
		elapse(time.Minute) // the fetch ends by its own deadline
	})
}

func TestNoFirstSet(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	issuer.err = errDown
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		for range 10 {
			find(t, source, "k1", keys.ErrUnavailable)
		}
		if n := len(issuer.times()); n != 1 {
			t.Errorf("%d fetches by requests within a second, want 1", n)
		}
		issuer.change(func(f *fakeIssuer) { f.err = nil })
		elapse(time.Second)
		together(20, func() { find(t, source, "k1", nil) })
		if n := len(issuer.times()); n != 2 {
			t.Errorf("%d fetches, want one more for everyone", n)
		}
	})
}

func TestFindEndsWithItsContext(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	issuer.hangs = true
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := source.Find(ctx, "k1", "ES256"); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
		elapse(time.Minute)
	})
}

func TestStaticKeys(t *testing.T) {
	k1 := tokentest.NewKey(t, "ES256", "k1")
	synctest.Test(t, func(t *testing.T) {
		source := keys.NewStatic("https://issuer.example.com", keys.NewState(), parsed(t, k1))
		elapse(365 * 24 * time.Hour)
		found := find(t, source, "k1", nil)
		find(t, source, "k2", keys.ErrUnknown)
		if !source.Holds(found[0]) {
			t.Error("the source does not hold its own key")
		}
		if _, ok := source.Age(); ok {
			t.Error("keys from a file have no age")
		}
		source.Run(t.Context()) // returns: there is nothing to renew
	})
}
