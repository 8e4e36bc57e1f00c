package revocation

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	idpURL = "https://idp.example"
	ownURL = "https://gateway.example"
)

var (
	callersFacts = Facts{
		Issuer: idpURL, ID: "id-1", Subject: "alice", Session: "s-1", Client: "app", KeyID: "k1",
		IssuedAt: time.Unix(1_700_000_000, 0),
	}
	nextHour = time.Now().Add(time.Hour)
)

// An event about any name of a token is about what was derived from it, and one about
// anything else is not.
func TestTagsFindEvents(t *testing.T) {
	nameless := callersFacts
	nameless.ID, nameless.Session = "", ""
	nameless.Essence = token.Digest{1, 2, 3}
	renamed := callersFacts
	renamed.Subject, renamed.Sub = "alice@example.com", "248289761001"
	for name, test := range map[string]struct {
		facts Facts
		event Event
		want  bool
	}{
		"jti":               {callersFacts, Event{Kind: KindID, Issuer: idpURL, Value: "id-1"}, true},
		"subject":           {callersFacts, Event{Kind: KindSubject, Issuer: idpURL, Value: "alice"}, true},
		"the claim":         {renamed, Event{Kind: KindSubject, Issuer: idpURL, Value: "alice@example.com"}, true},
		"sub":               {renamed, Event{Kind: KindSubject, Issuer: idpURL, Value: "248289761001"}, true},
		"sub, afterwards":   {renamed, Event{Kind: KindSubject, Issuer: idpURL, Value: "248289761001", Before: time.Unix(1_699_999_999, 0)}, false},
		"another sub":       {renamed, Event{Kind: KindSubject, Issuer: idpURL, Value: "248289761002"}, false},
		"session":           {callersFacts, Event{Kind: KindSession, Issuer: idpURL, Value: "s-1"}, true},
		"client":            {callersFacts, Event{Kind: KindClient, Issuer: idpURL, Value: "app"}, true},
		"issuer":            {callersFacts, Event{Kind: KindIssuer, Issuer: idpURL}, true},
		"key":               {callersFacts, Event{Kind: KindKey, Issuer: idpURL, Value: "k1"}, true},
		"digest":            {nameless, Event{Kind: KindToken, Issuer: idpURL, Value: DigestValue(nameless.Essence)}, true},
		"another subject":   {callersFacts, Event{Kind: KindSubject, Issuer: idpURL, Value: "bob"}, false},
		"another issuer":    {callersFacts, Event{Kind: KindSubject, Issuer: idpURL + "/", Value: "alice"}, false},
		"another kind":      {callersFacts, Event{Kind: KindSubject, Issuer: idpURL, Value: "id-1"}, false},
		"another digest":    {nameless, Event{Kind: KindToken, Issuer: idpURL, Value: DigestValue(token.Digest{1})}, false},
		"no session":        {nameless, Event{Kind: KindSession, Issuer: idpURL, Value: "s-1"}, false},
		"issued before":     {callersFacts, Event{Kind: KindSubject, Issuer: idpURL, Value: "alice", Before: time.Unix(1_700_000_000, 0)}, true},
		"issued afterwards": {callersFacts, Event{Kind: KindSubject, Issuer: idpURL, Value: "alice", Before: time.Unix(1_699_999_999, 0)}, false},
		"nobody says when":  {Facts{Issuer: idpURL, ID: "x"}, Event{Kind: KindIssuer, Issuer: idpURL, Before: time.Unix(1, 0)}, true},
		"ended":             {callersFacts, Event{Kind: KindIssuer, Issuer: idpURL, Until: time.Now().Add(-time.Second)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if test.event.Until.IsZero() {
				test.event.Until = nextHour
			}
			test.event.ID = "e-1"
			derived := Facts{Issuer: ownURL, ID: "own", Subject: "x", IssuedAt: time.Now(), Tags: TagsOf(&test.facts)}
			if got := NewBatch(&test.event).Matches(&derived); got != test.want {
				t.Errorf("it is about what was derived: %v, want %v", got, test.want)
			}
		})
	}
}

// However long a chain is, it knows both names of whom it began with.
func TestTagsOfAChainKeepBothSubjects(t *testing.T) {
	facts := callersFacts
	facts.Sub = "248289761001"
	for hop := range 7 {
		facts = Facts{Issuer: ownURL, ID: fmt.Sprint("hop-", hop), Subject: "x", IssuedAt: time.Now(), Tags: TagsOf(&facts)}
	}
	if len(facts.Tags) != maxGroups*groupSize || !facts.Tags.ok() {
		t.Fatalf("%d octets of tags", len(facts.Tags))
	}
	for name, event := range map[string]Event{
		"the claim": {Kind: KindSubject, Issuer: idpURL, Value: "alice"}, "sub": {Kind: KindSubject, Issuer: idpURL, Value: "248289761001"},
		"the last hop": {Kind: KindID, Issuer: ownURL, Value: "hop-5"},
	} {
		event.ID, event.Until = name, nextHour
		if !NewBatch(&event).Matches(&facts) {
			t.Errorf("%s: it is not about the chain", name)
		}
	}
	renamed := callersFacts
	renamed.Sub = "248289761001"
	if tags := TagsOf(&renamed); len(tags) != 2*groupSize || len(tags.Join(&renamed)) != len(tags) {
		t.Errorf("%d octets for one token, and %d with itself", len(tags), len(tags.Join(&renamed)))
	}
}

// A chain hands on where it began, and what it came through lately.
func TestTagsOfAChain(t *testing.T) {
	facts := callersFacts
	for hop := range 11 {
		facts = Facts{Issuer: ownURL, ID: fmt.Sprint("hop-", hop), Subject: "x", IssuedAt: time.Now(), Tags: TagsOf(&facts)}
	}
	if len(facts.Tags) != maxGroups*groupSize {
		t.Fatalf("%d octets of tags", len(facts.Tags))
	}
	for id, want := range map[string]bool{"id-1": true, "hop-3": true, "hop-8": true, "hop-9": true, "hop-2": false} {
		issuer := ownURL
		if id == "id-1" {
			issuer = idpURL
		}
		batch := NewBatch(&Event{ID: "e", Kind: KindID, Issuer: issuer, Value: id, Until: nextHour})
		if got := batch.Matches(&facts); got != want {
			t.Errorf("a revocation of %s is about the last one: %v, want %v", id, got, want)
		}
	}
}

// Who acts is part of the origin too, and counts once.
func TestTagsOfActor(t *testing.T) {
	actor := Facts{Issuer: ownURL, ID: "robot", Subject: "robot"}
	tags := TagsOf(&callersFacts).Join(&actor)
	if again := tags.Join(&actor); len(again) != 2*groupSize {
		t.Errorf("%d octets", len(again))
	}
	batch := NewBatch(&Event{ID: "e", Kind: KindID, Issuer: ownURL, Value: "robot", Until: nextHour})
	if !batch.Matches(&Facts{Issuer: ownURL, Tags: tags}) {
		t.Error("the actor's end is not the token's")
	}
}

// What nobody wrote is no tags, and finds nothing.
func TestBadTags(t *testing.T) {
	batch := NewBatch(&Event{ID: "e", Kind: KindIssuer, Issuer: idpURL, Until: nextHour})
	good := TagsOf(&callersFacts)
	for _, tags := range []Tags{nil, {}, {1}, good[1:], append(good, 0), make(Tags, 5*groupSize)} {
		if batch.Matches(&Facts{Issuer: ownURL, Tags: tags}) {
			t.Errorf("%d octets are taken for tags", len(tags))
		}
	}
}

// A state finds what a reader reads, whether the event came before the reader or
// after it, and tells subscribers.
func TestStateReadsOrigins(t *testing.T) {
	state := NewState(store.NewMemory(0))
	revoke := func(id string) {
		if _, err := state.Revoke(t.Context(), Event{Kind: KindID, Issuer: idpURL, Value: id, Until: nextHour}); err != nil {
			t.Fatal(err)
		}
	}
	if err := state.Load(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	revoke("id-1")
	facts := callersFacts
	cancel := state.ReadOrigins(ownURL, func(*token.Token) []byte { return TagsOf(&facts) })
	derived, foreign := &token.Token{Issuer: ownURL, ID: "x"}, &token.Token{Issuer: idpURL, ID: "x"}
	if state.Revoked(derived) == nil || state.Revoked(foreign) != nil {
		t.Errorf("before the reader: %v, %v", state.Revoked(derived), state.Revoked(foreign))
	}
	facts.ID = "id-2"
	if err := state.Revoked(derived); err != nil {
		t.Error(err)
	}
	matched := false
	unsubscribe := state.Subscribe(func(batch *Batch) {
		held := state.FactsOf(derived)
		matched = batch.Matches(&held)
	})
	defer unsubscribe()
	revoke("id-2")
	if state.Revoked(derived) == nil || !matched {
		t.Errorf("after the reader: %v, subscribers were told: %v", state.Revoked(derived), matched)
	}
	cancel()
	if err := state.Revoked(derived); err != nil {
		t.Errorf("nobody reads it any more: %v", err)
	}
}

// What has ended makes room.
func TestTagIndexIsSwept(t *testing.T) {
	index := newTagIndex()
	for i := range 100 {
		until := time.Now().Add(-time.Second)
		if i%2 == 0 {
			until = nextHour
		}
		index.add(&Event{ID: fmt.Sprint(i), Kind: KindID, Issuer: idpURL, Value: fmt.Sprint(i / 4), Until: until})
	}
	index.sweep(time.Now().Add(2 * sweepEach))
	left := 0
	for _, first := range index.known {
		for ; first != nil; first = first.next {
			left++
		}
	}
	if left != 50 {
		t.Errorf("%d events are left, want 50", left)
	}
}

// BenchmarkTags is what the origin adds to a mint here.
func BenchmarkTags(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		TagsOf(&callersFacts)
	}
}

// BenchmarkFindTags is what it adds to the check of a token of the gateway's own.
func BenchmarkFindTags(b *testing.B) {
	b.ReportAllocs()
	index := newTagIndex()
	for i := range 1000 {
		index.add(&Event{ID: fmt.Sprint(i), Kind: KindID, Issuer: idpURL, Value: fmt.Sprint(i), Until: nextHour})
	}
	tags, now := TagsOf(&callersFacts), time.Now()
	for b.Loop() {
		if index.find(tags, now) != nil {
			b.Fatal("found")
		}
	}
}

// What the token of who acts was derived from is handed on with it.
func TestTagsOfAnActor(t *testing.T) {
	robots := Facts{Issuer: idpURL, ID: "robot-1", Subject: "robot", IssuedAt: time.Unix(1_700_000_000, 0)}
	acts := Facts{Issuer: ownURL, ID: "act-1", Subject: "robot", Tags: TagsOf(&robots)}
	minted := Facts{Issuer: ownURL, ID: "own", Subject: "alice", Tags: TagsOf(&callersFacts).Join(&acts)}
	again := Facts{Issuer: ownURL, ID: "next", Subject: "alice", Tags: TagsOf(&minted).Join(&acts)}
	if groups := len(again.Tags) / groupSize; groups != 4 {
		t.Errorf("%d groups: one is there twice, or lacks", groups)
	}
	for id, issuer := range map[string]string{"id-1": idpURL, "robot-1": idpURL, "act-1": ownURL} {
		event := &Event{ID: "e", Kind: KindID, Issuer: issuer, Value: id, Until: nextHour}
		if !NewBatch(event).Matches(&minted) || !NewBatch(event).Matches(&again) {
			t.Errorf("%s is revoked, and what was derived is good", id)
		}
	}
}

// A JWT whose issuer names it in another way is known by both names, and so is what
// is derived from it.
func TestTokenUnderTwoNames(t *testing.T) {
	said := &token.Token{Issuer: idpURL, ID: "jwt-1", Subject: "alice", IssuedAt: time.Unix(1_700_000_000, 0)}
	held := &token.Token{Issuer: idpURL, ID: "answer-1", Subject: "42", IssuedAt: time.Unix(1_800_000_000, 0), JWT: said}
	for _, event := range []Event{
		{Kind: KindID, Value: "jwt-1"},
		{Kind: KindID, Value: "answer-1"},
		{Kind: KindSubject, Value: "alice"},
		{Kind: KindSubject, Value: "42"},
		{Kind: KindSubject, Value: "alice", Before: time.Unix(1_750_000_000, 0)},
	} {
		event.Issuer, event.Until = idpURL, nextHour
		state := NewState(store.NewMemory(0))
		matched := false
		state.Subscribe(func(batch *Batch) {
			facts := state.FactsOf(held)
			derived := Facts{Issuer: ownURL, ID: "own", Tags: TagsOf(&facts)}
			matched = batch.Matches(&facts) && batch.Matches(&derived)
		})
		mustRevoke(t, state, event)
		if state.Revoked(held) == nil || !matched {
			t.Errorf("%s %s: %v, subscribers: %t", event.Kind, event.Value, state.Revoked(held), matched)
		}
	}
}
