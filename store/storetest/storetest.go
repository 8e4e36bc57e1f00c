// Package storetest holds the tests that every implementation of a store passes.
// It is for tests alone.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// A MarksLaw is one part of the contract of store.Marks. Run wants a store that
// no other law has used. Laws wait for up to two seconds of whatever clock they
// run under, which testing/synctest makes instant for stores without a network.
type MarksLaw struct {
	Name string
	Run  func(t *testing.T, marks store.Marks)
}

const (
	purpose = store.Purpose("storetest")
	other   = store.Purpose("storetest-other")
)

// MarksLaws are the contract of store.Marks.
func MarksLaws() []MarksLaw {
	return []MarksLaw{
		{"once", once},
		{"purposes are apart", purposesApart},
		{"identifiers are apart", identifiersApart},
		{"expires", expires},
		{"a second call extends nothing", extendsNothing},
		{"the past is never fresh", past},
		{"one of many", oneOfMany},
		{"ended context", endedContext},
	}
}

func mark(t *testing.T, marks store.Marks, purpose store.Purpose, id string, until time.Time) bool {
	t.Helper()
	fresh, err := marks.Mark(t.Context(), purpose, id, until)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func expect(t *testing.T, what string, got, want bool) {
	t.Helper()
	if got != want {
		t.Errorf("%s: fresh is %t, want %t", what, got, want)
	}
}

func once(t *testing.T, marks store.Marks) {
	until := time.Now().Add(time.Minute)
	expect(t, "first", mark(t, marks, purpose, "a", until), true)
	expect(t, "second", mark(t, marks, purpose, "a", until), false)
	expect(t, "second, later instant", mark(t, marks, purpose, "a", until.Add(time.Hour)), false)
}

func purposesApart(t *testing.T, marks store.Marks) {
	until := time.Now().Add(time.Minute)
	expect(t, "one purpose", mark(t, marks, purpose, "a", until), true)
	expect(t, "another", mark(t, marks, other, "a", until), true)
}

// identifiersApart tries texts that a careless join, cut or fold would make one.
func identifiersApart(t *testing.T, marks store.Marks) {
	long := strings.Repeat("x", 5000)
	until := time.Now().Add(time.Minute)
	ids := []string{
		"", "a", "A", "a ", " a", "a\x00", "a\x00b", "a:b", "a/b", "a|b", "\xff", "\r\n",
		"\u00e9", "e\u0301", long, long + "y", "-other", string(purpose),
	}
	for _, id := range ids {
		expect(t, fmt.Sprintf("%.20q", id), mark(t, marks, purpose, id, until), true)
	}
	for _, id := range ids {
		expect(t, fmt.Sprintf("%.20q again", id), mark(t, marks, purpose, id, until), false)
	}
	expect(t, "purpose and identifier joined elsewhere", mark(t, marks, other, "", until), true)
}

func expires(t *testing.T, marks store.Marks) {
	expect(t, "first", mark(t, marks, purpose, "a", time.Now().Add(time.Second)), true)
	<-time.After(1500 * time.Millisecond)
	expect(t, "after its time", mark(t, marks, purpose, "a", time.Now().Add(time.Minute)), true)
	expect(t, "marked anew", mark(t, marks, purpose, "a", time.Now().Add(time.Minute)), false)
}

func extendsNothing(t *testing.T, marks store.Marks) {
	start := time.Now()
	expect(t, "first", mark(t, marks, purpose, "a", start.Add(time.Second)), true)
	expect(t, "second", mark(t, marks, purpose, "a", start.Add(time.Hour)), false)
	<-time.After(1500 * time.Millisecond)
	expect(t, "after its first time", mark(t, marks, purpose, "a", time.Now().Add(time.Minute)), true)
}

func past(t *testing.T, marks store.Marks) {
	expect(t, "past", mark(t, marks, purpose, "a", time.Now().Add(-time.Second)), false)
	expect(t, "zero", mark(t, marks, purpose, "b", time.Time{}), false)
	expect(t, "nothing was remembered", mark(t, marks, purpose, "a", time.Now().Add(time.Minute)), true)
}

func oneOfMany(t *testing.T, marks store.Marks) {
	const callers, ids = 16, 50
	until := time.Now().Add(time.Minute)
	var fresh, failed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range ids {
				ok, err := marks.Mark(t.Context(), purpose, fmt.Sprint(i), until)
				if err != nil {
					failed.Add(1)
				}
				if ok {
					fresh.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if fresh.Load() != ids || failed.Load() != 0 {
		t.Errorf("%d of %d identifiers were fresh, %d calls failed", fresh.Load(), ids, failed.Load())
	}
}

func endedContext(t *testing.T, marks store.Marks) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	fresh, err := marks.Mark(ctx, purpose, "a", time.Now().Add(time.Minute))
	if fresh || !errors.Is(err, context.Canceled) {
		t.Errorf("got %t, %v; want the context's error", fresh, err)
	}
}
