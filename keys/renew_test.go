package keys_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

func TestRenewalAtFourFifthsOfLife(t *testing.T) {
	k1 := tokentest.NewKey(t, "ES256", "k1")
	tests := map[string]struct{ life, every time.Duration }{
		"as the issuer says":     {20 * time.Minute, 16 * time.Minute},
		"nothing said":           {0, 8 * time.Minute},
		"shorter than a minute":  {time.Second, 48 * time.Second},
		"longer than an hour":    {24 * time.Hour, 48 * time.Minute},
		"within the two bounds ": {time.Minute, 48 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			issuer := newIssuer(t, k1)
			issuer.life = test.life
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				stop := run(issuer.source(nil))
				elapse(3*test.every + time.Second)
				stop()
				asked := issuer.times()
				if len(asked) != 4 {
					t.Fatalf("%d fetches, want the first and 3 renewals", len(asked))
				}
				for i, at := range asked {
					if got := at.Sub(begin); got != time.Duration(i)*test.every {
						t.Errorf("fetch %d after %s, want %s", i, got, time.Duration(i)*test.every)
					}
				}
			})
		})
	}
}

// A state that comes from an earlier configuration is not fetched anew.
func TestRunTakesOverAYoungSet(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	synctest.Test(t, func(t *testing.T) {
		state := keys.NewState()
		with := func(c *keys.Config) { c.State = state }
		stop := run(issuer.source(with))
		elapse(time.Minute)
		stop()
		stop = run(issuer.source(with))
		defer stop()
		elapse(time.Minute)
		if n := len(issuer.times()); n != 1 {
			t.Errorf("%d fetches, want 1: the second source has the first one's keys", n)
		}
	})
}

func TestRetriesDoubleUpToHalfAMinute(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	issuer.err = errDown
	synctest.Test(t, func(t *testing.T) {
		stop := run(issuer.source(nil))
		elapse(10 * time.Minute)
		stop()
		asked := issuer.times()
		expected := time.Second
		for i := 1; i < len(asked); i++ {
			gap := asked[i].Sub(asked[i-1])
			if gap < expected/2 || gap >= expected*3/2 {
				t.Errorf("retry %d after %s, want %s and half of it more or less", i, gap, expected)
			}
			expected = min(2*expected, 30*time.Second)
		}
		if len(asked) < 10*60/45 {
			t.Errorf("only %d attempts in ten minutes", len(asked))
		}
	})
}

func TestRecoversByItself(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	issuer.err = errDown
	synctest.Test(t, func(t *testing.T) {
		var seen []error
		stop := run(issuer.source(func(c *keys.Config) { c.Observe = func(r keys.Refresh) { seen = append(seen, r.Err) } }))
		elapse(5 * time.Minute)
		issuer.change(func(f *fakeIssuer) { f.err = nil })
		before := len(issuer.times())
		elapse(45 * time.Second)
		if n := len(issuer.times()); n != before+1 {
			t.Errorf("%d fetches after the issuer came back, want 1 within 45s", n-before)
		}
		stop()
		for i, err := range seen {
			if (err == nil) != (i == len(seen)-1) {
				t.Errorf("renewal %d was observed as %v", i, err)
			}
		}
	})
}

func TestStaleSetServesUntilItsEnd(t *testing.T) {
	issuer := newIssuer(t, tokentest.NewKey(t, "ES256", "k1"))
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(func(c *keys.Config) { c.MaxStale = 2 * time.Hour })
		found := find(t, source, "k1", nil)
		issuer.change(func(f *fakeIssuer) { f.err = errDown })
		stop := run(source)
		elapse(2 * time.Hour)
		find(t, source, "k1", nil)
		elapse(time.Second)
		find(t, source, "k1", keys.ErrUnavailable)
		if source.Holds(found[0]) {
			t.Error("a key of a set that is too old is still held")
		}
		if age, ok := source.Age(); !ok || age != 2*time.Hour+time.Second {
			t.Errorf("age %s, %t: the metric must go on to tell how old the set is", age, ok)
		}
		issuer.change(func(f *fakeIssuer) { f.err = nil })
		elapse(time.Minute)
		find(t, source, "k1", nil)
		stop()
	})
}

func TestDroppedKeyIsNoLongerHeld(t *testing.T) {
	k1, k2 := tokentest.NewKey(t, "ES256", "k1"), tokentest.NewKey(t, "ES256", "k2")
	issuer := newIssuer(t, k1, k2)
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		first, second := find(t, source, "k1", nil)[0], find(t, source, "k2", nil)[0]
		issuer.publish(t, k2)
		stop := run(source)
		elapse(9 * time.Minute)
		stop()
		if source.Holds(first) {
			t.Error("a key that the issuer dropped is still held")
		}
		if !source.Holds(second) {
			t.Error("a key that stayed lost its identity, and the tokens it verified with it")
		}
	})
}

// Another key under the same kid is another key.
func TestKidWithANewKey(t *testing.T) {
	old, renewed := tokentest.NewKey(t, "ES256", "k1"), tokentest.NewKey(t, "ES256", "k1")
	issuer := newIssuer(t, old)
	synctest.Test(t, func(t *testing.T) {
		source := issuer.source(nil)
		before := find(t, source, "k1", nil)[0]
		issuer.publish(t, renewed)
		stop := run(source)
		elapse(9 * time.Minute)
		stop()
		if source.Holds(before) {
			t.Error("the key that was replaced is still held")
		}
	})
}
