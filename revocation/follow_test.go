package revocation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestRevocationSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		a, b := follow(t, e), follow(t, e)
		soon(t, "both have the list", func() bool { return a.Loaded() && b.Loaded() })
		var told atomic.Int64
		for _, n := range []*node{a, b} {
			n.Subscribe(func(batch *Batch) {
				facts := factsOf(good("alice"))
				if batch.Loading || batch.Local != (n == a) || !batch.Matches(&facts) {
					t.Errorf("told %+v", batch)
				}
				told.Add(int64(len(batch.Events)))
			})
		}
		event := subject("alice")
		event.Until = time.Now().Add(time.Hour)
		mustRevoke(t, a.State, event)
		if got := told.Load(); got < 1 {
			t.Error("who revoked heard before the subscriber")
		}
		if reason := reasonFor(a.State, closed, "alice"); reason != token.Revoked {
			t.Errorf("here: %q", reason)
		}
		soon(t, "the other node refuses", func() bool { return reasonFor(b.State, closed, "alice") == token.Revoked })
		if reason := reasonFor(b.State, closed, "bob"); reason != "" {
			t.Errorf("another subject: %q", reason)
		}
		<-time.After(10 * time.Second)
		if got := told.Load(); got != 2 {
			t.Errorf("told %d times on two nodes", got)
		}
	})
}

// A node that starts has the whole list before it lets anybody pass.
func TestNothingPassesBeforeTheListIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		first := follow(t, e)
		const events = 2500 // pages
		for i := range events {
			event := subject(fmt.Sprint("user-", i))
			event.Until = time.Now().Add(time.Hour)
			mustRevoke(t, first.State, event)
		}
		e.set(func(e *engine) { e.broken = store.ErrUnavailable })
		second := follow(t, e)
		<-time.After(time.Minute)
		for _, bound := range []Bound{closed, {MaxStaleness: time.Hour, Open: true}} {
			if reason := reasonFor(second.State, bound, "nobody"); reason != token.RevocationsUnknown {
				t.Errorf("open %v: %q", bound.Open, reason)
			}
		}
		second.Subscribe(func(batch *Batch) {
			if !batch.Loading {
				t.Error("events of before the start look new")
			}
		})
		e.set(func(e *engine) { e.broken = nil })
		soon(t, "the list is read", second.Loaded)
		if status := second.Status(); status.Events != events || time.Since(status.Contact) > 5*time.Second {
			t.Errorf("status %+v", status)
		}
		if reason := reasonFor(second.State, closed, fmt.Sprint("user-", events-1)); reason != token.Revoked {
			t.Errorf("the last one: %q", reason)
		}
		if reason := reasonFor(second.State, closed, "nobody"); reason != "" {
			t.Errorf("somebody else: %q", reason)
		}
		second.stop()
		if lines := second.lines.String(); strings.Count(lines, "\n") != 2 || !strings.Contains(lines, "works again") {
			t.Errorf("the log says\n%s", lines)
		}
	})
}

func TestStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		n := follow(t, e)
		soon(t, "loaded", n.Loaded)
		<-time.After(10 * time.Minute)
		if age, ok := n.Lag(); !ok || age > 2*readWait {
			t.Errorf("after ten quiet minutes the list is %v old", age)
		}
		e.set(func(e *engine) { e.broken = store.ErrUnavailable })
		<-time.After(20 * time.Second)
		if reason := reasonFor(n.State, closed, "alice"); reason != "" {
			t.Errorf("within the bound: %q", reason)
		}
		<-time.After(20 * time.Second)
		if reason := reasonFor(n.State, closed, "alice"); reason != token.RevocationsUnknown {
			t.Errorf("beyond it: %q", reason)
		}
		if reason := reasonFor(n.State, Bound{MaxStaleness: closed.MaxStaleness, Open: true}, "alice"); reason != "" {
			t.Errorf("beyond it, open: %q", reason)
		}
		e.set(func(e *engine) { e.broken = nil })
		soon(t, "there is contact again", func() bool { return reasonFor(n.State, closed, "alice") == "" })
	})
}

// A store that neither answers nor lets go makes the list old, and nothing else: one
// goroutine waits for it, and Follow ends when it is told to.
func TestHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		n := follow(t, e)
		soon(t, "loaded", n.Loaded)
		hang := make(chan struct{})
		e.set(func(e *engine) { e.hang = hang })
		<-time.After(5 * time.Second)
		reads := e.reads.Load()
		<-time.After(10 * time.Minute)
		if reason := reasonFor(n.State, closed, "alice"); reason != token.RevocationsUnknown {
			t.Errorf("the list is still believed: %q", reason)
		}
		if more := e.reads.Load() - reads; more > 0 {
			t.Errorf("%d more reads wait", more)
		}
		n.stop()
		if lines := n.lines.String(); strings.Count(lines, "\n") != 1 {
			t.Errorf("the log says\n%s", lines)
		}
		e.set(func(e *engine) { e.hang = nil })
		close(hang)
	})
}

// A node that was cut off misses nothing.
func TestCatchUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := store.NewMemory(0)
		cut := &engine{log: shared}
		a, b := follow(t, shared), follow(t, cut)
		soon(t, "both are loaded", func() bool { return a.Loaded() && b.Loaded() })
		cut.set(func(e *engine) { e.broken = store.ErrUnavailable })
		<-time.After(2 * readWait) // the read that is under way ends
		const events = 3000
		for i := range events {
			event := subject(fmt.Sprint("user-", i))
			event.Until = time.Now().Add(time.Hour)
			mustRevoke(t, a.State, event)
		}
		if b.List().Len() != 0 {
			t.Fatal("the node is not cut off")
		}
		cut.set(func(e *engine) { e.broken = nil })
		soon(t, "nothing is lost", func() bool { return b.List().Len() == events })
	})
}

// An engine that comes back empty gets from the nodes what they know, once each, and
// a new node then has all of it.
func TestRefill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		a, b := follow(t, e), follow(t, e)
		soon(t, "both are loaded", func() bool { return a.Loaded() && b.Loaded() })
		const events = 1500
		names := make(map[string]bool)
		for i := range events {
			event := subject(fmt.Sprint("user-", i))
			event.Until = time.Now().Add(time.Hour)
			names[mustRevoke(t, a.State, event).ID] = true
		}
		soon(t, "both have all", func() bool { return b.List().Len() == events })
		fresh := store.NewMemory(0)
		e.set(func(e *engine) { e.log = fresh })
		late := subject("late")
		late.Until = time.Now().Add(time.Hour)
		names[mustRevoke(t, b.State, late).ID] = true
		soon(t, "the log has all", func() bool { return fresh.Records(logName) == events+1 })
		c := follow(t, e)
		soon(t, "a new node has all", func() bool { return c.List().Len() == events+1 })
		soon(t, "the others too", func() bool { return a.List().Len() == events+1 && b.List().Len() == events+1 })
		got := make(map[string]bool)
		for _, event := range c.List().Events() {
			got[event.ID] = true
		}
		if diff := cmp.Diff(names, got); diff != "" {
			t.Error(diff)
		}
		for _, n := range []*node{a, b, c} {
			if reason := reasonFor(n.State, closed, "nobody"); reason != "" {
				t.Errorf("afterwards: %q", reason)
			}
			if reason := reasonFor(n.State, closed, "late"); reason != token.Revoked {
				t.Errorf("what came in between: %q", reason)
			}
		}
	})
}

// A record that is no revocation keeps nobody from those behind it.
func TestUndecodableRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(0)
		end := time.Now().Add(time.Hour)
		for i, data := range []string{`no JSON`, `{}`, `{"id":"1","kind":"planet","iss":"i","val":"v","until":"2099-01-01T00:00:00Z"}`} {
			if err := log.Append(t.Context(), logName, fmt.Sprint("bad-", i), []byte(data), end); err != nil {
				t.Fatal(err)
			}
		}
		n := follow(t, log)
		event := subject("alice")
		event.Until = end
		mustRevoke(t, NewState(log), event)
		soon(t, "the event behind them counts", func() bool { return reasonFor(n.State, closed, "alice") == token.Revoked })
		if got := n.Status().Undecodable; got != 3 {
			t.Errorf("%d records are counted", got)
		}
		n.stop()
		if lines := n.lines.String(); strings.Count(lines, "\n") != 1 || strings.Contains(lines, "planet") {
			t.Errorf("the log says\n%s", lines)
		}
	})
}

// A list without room for what the log has is not the whole list.
func TestFullListGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := store.NewMemory(0)
		other := NewState(log)
		small := newState(log, newList(2, DefaultBytes))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			small.Follow(ctx, slog.New(slog.DiscardHandler))
		}()
		soon(t, "loaded", small.Loaded)
		for i := range 3 {
			event := subject(fmt.Sprint("user-", i))
			event.Until = time.Now().Add(10 * time.Minute)
			mustRevoke(t, other, event)
		}
		<-time.After(time.Minute)
		if reason := reasonFor(small, closed, "nobody"); reason != token.RevocationsUnknown {
			t.Errorf("a list that lacks something: %q", reason)
		}
		event := subject("more")
		event.Until = time.Now().Add(time.Hour)
		if _, err := small.Revoke(t.Context(), event); !errors.Is(err, ErrFull) {
			t.Errorf("revoking: %v", err)
		}
		<-time.After(15 * time.Minute)
		if reason := reasonFor(small, closed, "nobody"); reason != "" {
			t.Errorf("once there is room: %q", reason)
		}
		cancel()
		<-done
	})
}
