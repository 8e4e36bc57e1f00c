package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// A ValuesLaw is one part of the contract of store.Values. Run wants a store that
// no other law has used; for its time see MarksLaw.
type ValuesLaw struct {
	Name string
	Run  func(t *testing.T, values store.Values)
}

// ValuesLaws are the contract of store.Values.
func ValuesLaws() []ValuesLaw {
	return []ValuesLaw{
		{"what is put is there", putIsThere},
		{"a second put replaces", putReplaces},
		{"values of purposes and keys are apart", valuesApart},
		{"values end", valuesEnd},
		{"the past keeps nothing", pastKeepsNothing},
		{"what is deleted is gone", deletedIsGone},
		{"copies", copies},
		{"too long a value", tooLong},
		{"many at once", manyAtOnce},
		{"values and an ended context", valuesEndedContext},
	}
}

func put(t *testing.T, values store.Values, purpose store.Purpose, key, value string, life time.Duration) {
	t.Helper()
	if err := values.Put(t.Context(), purpose, key, []byte(value), time.Now().Add(life)); err != nil {
		t.Fatal(err)
	}
}

// holds expects a value, or none where want is nil.
func holds(t *testing.T, values store.Values, purpose store.Purpose, key string, want []byte) {
	t.Helper()
	got, found, err := values.Get(t.Context(), purpose, key)
	if err != nil || found != (want != nil) || !bytes.Equal(got, want) {
		t.Errorf("%.20q of %s: %q, %t, %v; want %q", key, purpose, got, found, err, want)
	}
}

func putIsThere(t *testing.T, values store.Values) {
	holds(t, values, purpose, "a", nil)
	put(t, values, purpose, "a", "\x00any octets\xff", time.Minute)
	holds(t, values, purpose, "a", []byte("\x00any octets\xff"))
	put(t, values, purpose, "empty", "", time.Minute)
	holds(t, values, purpose, "empty", []byte{})
}

func putReplaces(t *testing.T, values store.Values) {
	put(t, values, purpose, "a", "one", time.Second)
	put(t, values, purpose, "a", "two, longer", time.Minute)
	holds(t, values, purpose, "a", []byte("two, longer"))
	<-time.After(1500 * time.Millisecond)
	holds(t, values, purpose, "a", []byte("two, longer"))
	put(t, values, purpose, "a", "three", time.Second)
	<-time.After(1500 * time.Millisecond)
	holds(t, values, purpose, "a", nil)
}

func valuesApart(t *testing.T, values store.Values) {
	long := strings.Repeat("x", 5000)
	keys := []string{"", "a", "A", "a ", "a\x00", "a:b", "a/b", "\xff", "\r\n", "\u00e9", "e\u0301", long, long + "y"}
	for _, p := range []store.Purpose{purpose, other} {
		for i, key := range keys {
			put(t, values, p, key, fmt.Sprint(p, i), time.Minute)
		}
	}
	for _, p := range []store.Purpose{purpose, other} {
		for i, key := range keys {
			holds(t, values, p, key, []byte(fmt.Sprint(p, i)))
		}
	}
}

func valuesEnd(t *testing.T, values store.Values) {
	put(t, values, purpose, "short", "1", time.Second)
	put(t, values, purpose, "long", "2", time.Minute)
	<-time.After(1500 * time.Millisecond)
	holds(t, values, purpose, "short", nil)
	holds(t, values, purpose, "long", []byte("2"))
}

func pastKeepsNothing(t *testing.T, values store.Values) {
	put(t, values, purpose, "a", "1", time.Minute)
	put(t, values, purpose, "a", "2", -time.Second)
	holds(t, values, purpose, "a", nil)
}

func deletedIsGone(t *testing.T, values store.Values) {
	put(t, values, purpose, "a", "1", time.Minute)
	put(t, values, purpose, "b", "2", time.Minute)
	for range 2 { // the second time there is none
		if err := values.Delete(t.Context(), purpose, "a"); err != nil {
			t.Error(err)
		}
		holds(t, values, purpose, "a", nil)
	}
	holds(t, values, purpose, "b", []byte("2"))
	put(t, values, purpose, "a", "3", time.Minute)
	holds(t, values, purpose, "a", []byte("3"))
}

func copies(t *testing.T, values store.Values) {
	mine := []byte("mine")
	if err := values.Put(t.Context(), purpose, "a", mine, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	copy(mine, "else")
	got, _, err := values.Get(t.Context(), purpose, "a")
	if err != nil {
		t.Fatal(err)
	}
	copy(got, "else")
	holds(t, values, purpose, "a", []byte("mine"))
}

func tooLong(t *testing.T, values store.Values) {
	put(t, values, purpose, "longest", strings.Repeat("x", store.MaxValue), time.Minute)
	err := values.Put(t.Context(), purpose, "a", make([]byte, store.MaxValue+1), time.Now().Add(time.Minute))
	if err == nil || errors.Is(err, store.ErrFull) {
		t.Errorf("got %v; want an error of the caller's", err)
	}
	holds(t, values, purpose, "a", nil)
}

func manyAtOnce(t *testing.T, values store.Values) {
	var wg sync.WaitGroup
	for caller := range 8 {
		wg.Go(func() {
			for i := range 50 {
				key := fmt.Sprint(i % 10)
				if err := values.Put(t.Context(), purpose, key, []byte(key), time.Now().Add(time.Minute)); err != nil {
					t.Error(err)
				}
				if got, found, err := values.Get(t.Context(), purpose, key); err != nil || found && string(got) != key {
					t.Errorf("key %s holds %q, %v", key, got, err)
				}
				if caller == 0 {
					_ = values.Delete(t.Context(), purpose, key)
				}
			}
		})
	}
	wg.Wait()
}

func valuesEndedContext(t *testing.T, values store.Values) {
	put(t, values, purpose, "a", "1", time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := values.Put(ctx, purpose, "b", nil, time.Now().Add(time.Minute)); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v; want the context's error", err)
	}
	if _, found, err := values.Get(ctx, purpose, "a"); found || !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %t, %v; want the context's error", found, err)
	}
	if err := values.Delete(ctx, purpose, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete: %v; want the context's error", err)
	}
	holds(t, values, purpose, "a", []byte("1"))
}
