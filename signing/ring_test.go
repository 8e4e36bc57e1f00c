package signing

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Two days after its turn the first key is gone.
func TestRotationInACalmWorld(t *testing.T) { calm(t, 2, 6) }

// calm lets nodes rotate, that many days after the first turn too: no more than most keys
// are there then.
func calm(t *testing.T, days, most int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.start()
		defer w.end()
		first := w.nodes[0].kids(AccessTokens, Active)
		if len(first) != 1 {
			t.Fatalf("active at once: %v", first)
		}
		w.watch(23*time.Hour+5*time.Minute, time.Minute)
		if pending := w.nodes[1].kids(AccessTokens, Pending); len(pending) != 1 {
			t.Errorf("pending an hour before the turn: %v", pending)
		}
		w.watch(time.Hour, time.Minute)
		for i, n := range w.nodes {
			if cmp.Equal(first, n.kids(AccessTokens, Active)) {
				t.Errorf("node %d still signs with its first key", i)
			}
			if diff := cmp.Diff(first, n.kids(AccessTokens, Retired)); diff != "" {
				t.Errorf("node %d, retired (-want +got):\n%s", i, diff)
			}
			if k := n.remembered().find(first[0]); k.private != nil || k.signer != nil {
				t.Errorf("node %d still has the private part of a retired key", i)
			}
			if turns := n.turns.Load(); turns != 2 {
				t.Errorf("node %d told of %d rotations, want one for each purpose", i, turns)
			}
		}
		w.watch(time.Duration(days)*24*time.Hour, time.Minute)
		if got := len(w.nodes[0].Keys()); got > most {
			t.Errorf("%d keys after %d days: old ones do not leave", got, days+1)
		}
		if w.nodes[0].Holds(first[0]) {
			t.Error("the first key is still published")
		}
	})
}

func TestRacesLoseNoToken(t *testing.T) { passEachOther(t, 1) }

// passEachOther lets nodes whose clocks differ, whose storage is slow and whose lock keeps
// nobody out write over each other's keys, and yet nobody sees a token without its key.
func passEachOther(t *testing.T, days int) {
	t.Helper()
	for _, slow := range []time.Duration{0, 300 * time.Millisecond, 2 * time.Second} {
		t.Run(slow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 4)
				w.shared.lockless = true
				for i, n := range w.nodes {
					offset := time.Duration(i-2) * testTiming.skew() / 4
					n.now = func() time.Time { return time.Now().Add(offset) }
					// Each takes its time, so that they pass each other between reading and writing.
					n.access.slow = slow * time.Duration(i+1) / 4
				}
				w.start()
				defer w.end()
				w.watch(time.Duration(days)*24*time.Hour+2*time.Hour, 20*time.Second)
				if want := 2 * (days + 1); len(w.lastSign) < want {
					t.Errorf("%d keys signed in %d days, want %d", len(w.lastSign), days, want)
				}
			})
		})
	}
}

func TestOutagesDoNotStopRotation(t *testing.T) {
	type trouble func(*access)
	for name, begin := range map[string]trouble{
		"fails": func(a *access) { a.down = errDown },
		"hangs": func(a *access) { a.stuck = 7 * time.Minute },
		"slow":  func(a *access) { a.slow = time.Hour },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				w.start()
				defer w.end()
				w.watch(20*time.Hour, time.Minute)
				before := w.nodes[0].kids(AccessTokens, Active)
				for _, n := range w.nodes {
					n.access.set(begin)
				}
				w.watch(4*time.Hour+30*time.Minute, time.Minute) // half an hour past the planned end
				if diff := cmp.Diff(before, w.nodes[0].kids(AccessTokens, Active)); diff != "" {
					t.Errorf("while the storage is down the key signs on (-want +got):\n%s", diff)
				}
				if status := w.nodes[0].Status(); !status.Degraded || status.Trouble == nil {
					t.Errorf("the ring says it is well: %+v", status)
				}
				if w.nodes[0].failed.Load() == 0 {
					t.Error("nobody was told")
				}
				for _, n := range w.nodes {
					n.access.set(func(a *access) { a.down, a.slow, a.stuck = nil, 0, 0 })
				}
				w.watch(2*time.Hour, time.Minute)
				if cmp.Equal(before, w.nodes[0].kids(AccessTokens, Active)) {
					t.Error("rotation has stopped for good")
				}
				if status := w.nodes[0].Status(); status.Degraded || status.Trouble != nil {
					t.Errorf("the ring is still degraded: %+v", status)
				}
			})
		})
	}
}

// A storage that is down for longer than the grace ends signing: fail closed.
func TestGraceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.start()
		defer w.end()
		w.nodes[0].access.set(func(a *access) { a.down = errDown })
		elapse(testTiming.Rotate + testTiming.grace() - time.Minute)
		if _, err := w.nodes[0].Signer(AccessTokens); err != nil {
			t.Errorf("within the grace: %v", err)
		}
		elapse(2 * time.Minute)
		if _, err := w.nodes[0].Signer(AccessTokens); !errors.Is(err, ErrNoKey) {
			t.Errorf("after the grace: %v, want ErrNoKey", err)
		}
		w.nodes[0].access.set(func(a *access) { a.down = nil })
		elapse(2 * time.Minute)
		if _, err := w.nodes[0].Signer(AccessTokens); err != nil {
			t.Errorf("with the storage back: %v", err)
		}
	})
}

// One node alone is cut off; what it signs with must stay published by the others.
func TestOneNodeCutOff(t *testing.T) {
	for _, at := range []time.Duration{time.Hour, 22*time.Hour + 50*time.Minute} {
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				w.start()
				defer w.end()
				w.watch(at, time.Minute)
				cut := w.nodes[1]
				cut.access.set(func(a *access) { a.down = errDown })
				if _, err := w.nodes[0].Rotate(t.Context()); err != nil {
					t.Fatal(err)
				}
				for end := time.Now().Add(30 * time.Hour); time.Now().Before(end); elapse(time.Minute) {
					signer, err := cut.Signer(AccessTokens)
					if err == nil && !w.nodes[0].Holds(signer.KeyID()) {
						t.Fatalf("the node that is cut off signs with %s, which the other one has dropped", signer.KeyID())
					}
				}
			})
		})
	}
}

func TestLateAndLostWrites(t *testing.T) {
	place := Place(testIssuer)
	for name, spoil := range map[string]func(w *world, old []byte){
		"an old document": func(w *world, old []byte) { w.shared.put(place, old) },
		"half a document": func(w *world, old []byte) { w.shared.put(place, old[:len(old)/2]) },
		"nothing": func(w *world, _ []byte) {
			w.shared.mu.Lock()
			defer w.shared.mu.Unlock()
			delete(w.shared.held, place)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				w.start()
				defer w.end()
				old := w.shared.get(place)
				w.watch(25*time.Hour, time.Minute)
				active := w.nodes[0].kids(AccessTokens, Active)
				spoil(w, old)
				w.watch(time.Hour, 10*time.Second)
				if diff := cmp.Diff(active, w.nodes[1].kids(AccessTokens, Active)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				fresh := w.add(func(*Config) {})
				if err := fresh.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(active, fresh.kids(AccessTokens, Active)); diff != "" {
					t.Errorf("a new node (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// A write that hangs for hours and then lands must undo nothing.
func TestHangingWriteLands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.shared.lockless = true
		w.start()
		defer w.end()
		w.watch(22*time.Hour, time.Minute)
		w.nodes[0].access.set(func(a *access) { a.stores = 3 * time.Hour })
		w.watch(65*time.Minute, 10*time.Second)
		w.nodes[0].access.set(func(a *access) { a.stores = 0 })
		w.watch(30*time.Hour, 30*time.Second)
	})
}

func TestFirstBoot(t *testing.T) {
	t.Run("storage down", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.nodes[0].access.down = errDown
			err := w.nodes[0].Start(t.Context())
			if !errors.Is(err, errDown) || !strings.Contains(fmt.Sprint(err), "the signing keys cannot be had from Caddy's storage (gatehouse/") {
				t.Errorf("starting: %v", err)
			}
		})
	})
	t.Run("storage hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.nodes[0].access.stuck = time.Hour
			if err := w.nodes[0].Start(t.Context()); err == nil {
				t.Error("started without keys")
			}
			elapse(2 * time.Hour) // let the call end
		})
	})
	t.Run("after a reload with the storage down", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			w.start()
			defer w.end()
			next := w.add(func(c *Config) { c.State = w.nodes[0].config.State })
			next.access.down = errDown
			if err := next.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := next.Signer(TransactionTokens); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("writes once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 5)
			w.start()
			defer w.end()
			w.watch(10*time.Minute, time.Second)
			if w.shared.writes != 1 {
				t.Errorf("%d writes at the first boot of five nodes", w.shared.writes)
			}
		})
	})
	t.Run("no key before it is read back for good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 1)
			if err := w.nodes[0].look(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			if _, err := w.nodes[0].Signer(AccessTokens); !errors.Is(err, ErrNoKey) {
				t.Errorf("right after writing it: %v, want ErrNoKey", err)
			}
		})
	})
}

// A node that wrote a key, read it back and then lost the storage must not sign
// with it later: another node may have written over it.
func TestOverwrittenKeyNeverSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.shared.lockless = true
		w.start()
		defer w.end()
		w.watch(10*time.Hour, time.Minute)
		before := w.shared.get(Place(testIssuer))
		made, err := w.nodes[0].Rotate(t.Context())
		if err != nil || len(made) != len(Purposes()) {
			t.Fatalf("rotating: %v, %v", made, err)
		}
		w.nodes[0].access.set(func(a *access) { a.down = errDown })
		// The other one read before that was written, and writes now.
		w.shared.put(Place(testIssuer), before)
		if _, err := w.nodes[1].Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		elapse(2 * testTiming.lead())
		signer, err := w.nodes[0].Signer(AccessTokens)
		if err != nil || !w.nodes[1].Holds(signer.KeyID()) {
			t.Errorf("it signs with a key that the others do not publish: %v", err)
		}
	})
}
