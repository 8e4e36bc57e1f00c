package revocation

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// put adds events that have no name yet.
func put(t *testing.T, list *List, events ...Event) {
	t.Helper()
	for _, event := range events {
		event.complete(time.Now())
		if err := event.Check(); err != nil {
			t.Fatal(err)
		}
		if fresh, err := list.add(hold(&event), 0); !fresh || err != nil {
			t.Fatalf("added %v, %v", fresh, err)
		}
	}
}

// held is a token, and of each kind an event that is about it.
func heldToken() (facts Facts, events map[Kind]Event) {
	facts = Facts{
		Issuer: issuer, ID: "j1", Subject: "alice", Session: "s1", Client: "app", KeyID: "k1",
		Essence: token.Digest{1, 2, 3}, IssuedAt: now().Add(-time.Hour),
	}
	events = make(map[Kind]Event)
	for kind, value := range map[Kind]string{
		KindID: "j1", KindSubject: "alice", KindSession: "s1", KindClient: "app", KindKey: "k1", KindIssuer: "",
		KindToken: DigestValue(facts.Essence),
	} {
		events[kind] = Event{Kind: kind, Issuer: issuer, Value: value, Until: now().Add(time.Hour)}
	}
	return facts, events
}

func TestFindByEveryKind(t *testing.T) {
	facts, events := heldToken()
	if len(events) != len(kinds) {
		t.Fatalf("%d kinds are tested of %d", len(events), len(kinds))
	}
	other := Facts{
		Issuer: issuer, ID: "j2", Subject: "bob", Session: "s2", Client: "other", KeyID: "k2", Essence: token.Digest{9}, IssuedAt: facts.IssuedAt,
	}
	foreign := facts
	foreign.Issuer = "https://other.example.com"
	for kind, event := range events {
		list := NewList()
		put(t, list, event)
		if found := list.Find(&facts, now()); found == nil || found.Kind != kind {
			t.Errorf("%s: found %v", kind, found)
		}
		if found := list.Find(&other, now()); found != nil && kind != KindIssuer {
			t.Errorf("%s: another token is found by %v", kind, found)
		}
		if found := list.Find(&foreign, now()); found != nil {
			t.Errorf("%s: another issuer's token is found by %v", kind, found)
		}
		if found := list.Find(&Facts{Issuer: issuer}, now()); found != nil && kind != KindIssuer {
			t.Errorf("%s: a token that says nothing is found by %v", kind, found)
		}
		if found := list.Find(&facts, event.Until); found != nil {
			t.Errorf("%s: found when it has ended", kind)
		}
	}
}

// One kind's value means nothing for another kind.
func TestKindsAreApart(t *testing.T) {
	list := NewList()
	put(t, list, Event{Kind: KindSubject, Issuer: issuer, Value: "same", Until: now().Add(time.Hour)})
	facts := Facts{Issuer: issuer, ID: "same", Client: "same", Session: "same", KeyID: "same"}
	if found := list.Find(&facts, now()); found != nil {
		t.Errorf("found %v", found)
	}
}

func TestFindByIssuedAt(t *testing.T) {
	before := now().Add(-time.Minute)
	list := NewList()
	put(t, list, Event{Kind: KindSubject, Issuer: issuer, Value: "alice", Before: before, Until: now().Add(time.Hour)})
	for issued, want := range map[time.Time]bool{
		before.Add(-time.Second): true, before: true, before.Add(time.Second): false, {}: true,
	} {
		facts := Facts{Issuer: issuer, Subject: "alice", IssuedAt: issued}
		if got := list.Find(&facts, now()) != nil; got != want {
			t.Errorf("issued %v, bound %v: found %v", issued, before, got)
		}
	}
}

// However often one name is revoked, tokens are held against what counts only; and
// what counts is what the events say together.
func TestManyEventsOfOneName(t *testing.T) {
	list, random := NewList(), rand.New(rand.NewPCG(1, 2))
	start := now()
	var events []Event
	for range 500 {
		event := subject("alice")
		event.Until = start.Add(time.Duration(1+random.IntN(1000)) * time.Second)
		if random.IntN(20) > 0 {
			event.Before = start.Add(-time.Duration(random.IntN(1000)) * time.Second)
		}
		events = append(events, event)
		put(t, list, event)
	}
	check := func(at time.Time) {
		t.Helper()
		for ago := -1000; ago < 10; ago += 7 {
			facts := Facts{Issuer: issuer, Subject: "alice", IssuedAt: start.Add(time.Duration(ago) * time.Second)}
			want := false
			for _, event := range events {
				want = want || at.Before(event.Until) && (event.Before.IsZero() || !facts.IssuedAt.After(event.Before))
			}
			if got := list.Find(&facts, at) != nil; got != want {
				t.Fatalf("issued %d s ago, asked %v later: found %v, want %v", -ago, at.Sub(start), got, want)
			}
		}
	}
	for step := 0; step <= 1000; step += 50 {
		at := start.Add(time.Duration(step) * time.Second)
		check(at)
		list.sweep(at)
		check(at)
	}
	if list.Len() != 0 || list.bytes != 0 || list.present.Load() != 0 {
		t.Errorf("%d events, %d bytes, kinds %b are left", list.Len(), list.bytes, list.present.Load())
	}
}

// A subject that is revoked again and again has one event to look at.
func TestCoveredEventsCostNothing(t *testing.T) {
	list := NewList()
	for i := range 10_000 {
		event := subject("alice")
		event.Before = now().Add(-time.Hour).Add(time.Duration(i) * time.Millisecond)
		event.Until = event.Before.Add(3 * time.Hour)
		put(t, list, event)
	}
	_, first := list.names.Load().place(named(list, subject("alice")))
	if first == nil || first.next.Load() != nil || list.Len() != 10_000 {
		t.Errorf("%d events, the first is %v", list.Len(), first)
	}
}

// named is hold, with the hash that the list gives the name.
func named(list *List, event Event) *held {
	h := hold(&event)
	h.hash = list.hashOf(h)
	return h
}

// A list that grows and is swept finds each of its names and no other one.
func TestGrowAndSweep(t *testing.T) {
	list, start := NewList(), now()
	const names = 20_000
	for i := range names {
		event := subject(fmt.Sprintf("user-%d", i))
		event.Until = start.Add(time.Duration(1+i%10) * time.Minute)
		put(t, list, event)
	}
	for minutes := range 11 {
		at := start.Add(time.Duration(minutes) * time.Minute)
		list.sweep(at)
		want := 0
		for i := range names + 1000 {
			alive := i < names && minutes < 1+i%10
			if alive {
				want++
			}
			facts := Facts{Issuer: issuer, Subject: fmt.Sprintf("user-%d", i)}
			if got := list.Find(&facts, at) != nil; got != alive {
				t.Fatalf("minute %d, user %d: found %v", minutes, i, got)
			}
		}
		if list.Len() != want || len(list.ids) != want {
			t.Fatalf("minute %d: %d events, want %d", minutes, list.Len(), want)
		}
	}
	if places := len(list.names.Load().tags); places > 64 {
		t.Errorf("an empty list has %d places", places)
	}
}

func TestListIsBounded(t *testing.T) {
	list := newList(3, DefaultBytes)
	for _, name := range []string{"a", "b", "c"} {
		put(t, list, subject(name))
	}
	event := subject("d")
	event.complete(now())
	for _, err := range []error{list.roomFor(hold(&event), false), second(list.add(hold(&event), 0))} {
		if !errors.Is(err, ErrFull) || !errors.Is(err, store.ErrFull) {
			t.Errorf("a fourth event: %v", err)
		}
	}
	list.sweep(now().Add(2 * time.Hour))
	put(t, list, subject("d"))

	small := newList(DefaultEvents, 2*heldBytes)
	put(t, small, subject("a"))
	if err := small.roomFor(hold(&event), false); !errors.Is(err, ErrFull) {
		t.Errorf("too many bytes: %v", err)
	}
}

func second[A any](_ A, err error) error { return err }

// Whoever is added before a reader begins is found by it, whatever writers and the
// sweep do; what was never added is not. The race detector watches.
func TestReadersWithWriters(t *testing.T) {
	list, start := NewList(), now()
	var added atomic.Int64
	var stopped atomic.Bool
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := 0; !stopped.Load(); i++ {
				if last := added.Load(); last > 0 {
					facts := Facts{Issuer: issuer, Subject: fmt.Sprintf("user-%d", rand.Int64N(last))}
					if list.Find(&facts, start) == nil {
						t.Errorf("%s is not found", facts.Subject)
						return
					}
				}
				facts := Facts{Issuer: issuer, Subject: fmt.Sprintf("other-%d", i), Client: "gone"}
				if found := list.Find(&facts, start.Add(10*time.Minute)); found != nil {
					t.Errorf("%s is found by %v", facts.Subject, found)
					return
				}
			}
		})
	}
	group.Go(func() {
		for !stopped.Load() {
			list.sweep(start.Add(10 * time.Minute))
			list.Events()
		}
	})
	for i := range 5000 {
		event, brief := subject(fmt.Sprintf("user-%d", i)), subject(fmt.Sprintf("brief-%d", i))
		brief.Kind, brief.Value = KindClient, "gone"
		brief.Until = start.Add(time.Minute)
		put(t, list, event, brief)
		added.Store(int64(i + 1))
	}
	stopped.Store(true)
	group.Wait()
	list.sweep(start.Add(10 * time.Minute))
	if counts := maps.Collect(list.Counts()); counts[KindSubject] != 5000 || counts[KindClient] != 0 {
		t.Errorf("counts %v", counts)
	}
}

func TestSessionIsReadWhereItCounts(t *testing.T) {
	claims, err := token.ParseClaims([]byte(`{"sid":"s1"}`))
	if err != nil {
		t.Fatal(err)
	}
	held := &token.Token{Issuer: issuer, Claims: claims}
	if facts := FactsOf(held); facts.Session != "s1" {
		t.Errorf("session %q", facts.Session)
	}
	list, facts := NewList(), factsOf(held)
	put(t, list, Event{Kind: KindSession, Issuer: issuer, Value: "s1", Until: now().Add(time.Hour)})
	if list.Find(&facts, now()) == nil {
		t.Error("the session is not found")
	}
}

func TestSubjectIsFoundByItsSub(t *testing.T) {
	claims, err := token.ParseClaims([]byte(`{"sub":"248289761001","preferred_username":"alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"alice", ""} {
		list, facts := NewList(), factsOf(&token.Token{Issuer: issuer, Subject: subject, Claims: claims})
		put(t, list, Event{Kind: KindSubject, Issuer: issuer, Value: "bob", Until: now().Add(time.Hour)})
		if list.Find(&facts, now()) != nil {
			t.Errorf("subject %q: another's event is found", subject)
		}
		put(t, list, Event{Kind: KindSubject, Issuer: issuer, Value: "248289761001", Until: now().Add(time.Hour)})
		if list.Find(&facts, now()) == nil {
			t.Errorf("subject %q: the event about its sub is not found", subject)
		}
	}
}
