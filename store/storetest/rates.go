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

// A RatesLaw is one part of the contract of store.Rates, with the terms of a MarksLaw.
type RatesLaw struct {
	Name string
	Run  func(t *testing.T, rates store.Rates)
}

// slow is a rate of which nothing comes back while a law runs.
var slow = store.Rate{Events: 3, Window: 3 * time.Hour}

// RatesLaws are the contract of store.Rates.
func RatesLaws() []RatesLaw {
	return []RatesLaw{
		{"as many at once as the rate says", allAtOnce},
		{"one more after each interval", spreadEvenly},
		{"what is refused counts nothing", refusedCountsNothing},
		{"purposes and keys have counts of their own", countsApart},
		{"no more of many at once", noMoreOfMany},
		{"the fastest and the slowest rate", extremes},
		{"no rate in an ended context", noRateInEndedContext},
	}
}

func take(t *testing.T, rates store.Rates, key string, rate store.Rate) store.Taken {
	t.Helper()
	taken, err := rates.Take(t.Context(), purpose, key, rate)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func allowed(t *testing.T, what string, taken store.Taken, want bool) {
	t.Helper()
	if taken.Allowed != want {
		t.Errorf("%s: %+v; want allowed %t", what, taken, want)
	}
}

// near tells whether a time is right, as far as a busy machine lets it be.
func near(got, want time.Duration) bool { return got <= want && got > want-30*time.Second }

func allAtOnce(t *testing.T, rates store.Rates) {
	for left := slow.Events - 1; left >= 0; left-- {
		taken := take(t, rates, "a", slow)
		allowed(t, "within the rate", taken, true)
		if taken.Remaining != left || taken.RetryAfter != 0 || !near(taken.ResetAfter, time.Duration(slow.Events-left)*time.Hour) {
			t.Errorf("%+v, with %d left", taken, left)
		}
	}
	taken := take(t, rates, "a", slow)
	allowed(t, "above it", taken, false)
	if taken.Remaining != 0 || !near(taken.RetryAfter, time.Hour) || !near(taken.ResetAfter, 3*time.Hour) {
		t.Errorf("%+v", taken)
	}
}

func spreadEvenly(t *testing.T, rates store.Rates) {
	rate := store.Rate{Events: 2, Window: 2 * time.Second}
	allowed(t, "first", take(t, rates, "a", rate), true)
	allowed(t, "second", take(t, rates, "a", rate), true)
	refused := take(t, rates, "a", rate)
	allowed(t, "third", refused, false)
	<-time.After(refused.RetryAfter + time.Millisecond)
	allowed(t, "after an interval", take(t, rates, "a", rate), true)
	<-time.After(2 * time.Second)
	taken := take(t, rates, "a", rate)
	allowed(t, "after the window", taken, true)
	if taken.Remaining != 1 {
		t.Errorf("after the window %d are left, want 1", taken.Remaining)
	}
}

func refusedCountsNothing(t *testing.T, rates store.Rates) {
	rate := store.Rate{Events: 1, Window: time.Second}
	allowed(t, "first", take(t, rates, "a", rate), true)
	for range 20 {
		allowed(t, "again", take(t, rates, "a", rate), false)
	}
	<-time.After(time.Second)
	allowed(t, "after the window", take(t, rates, "a", rate), true)
}

// countsApart tries texts that a careless join, cut or fold would make one.
func countsApart(t *testing.T, rates store.Rates) {
	one := store.Rate{Events: 1, Window: time.Hour}
	long := strings.Repeat("x", 5000)
	keys := []string{"", "a", "A", "a ", "a\x00", "a:b", "a}", "{a}", "{b}", "\xff", "\r\n", "\u00e9", "e\u0301", long, long + "y", string(purpose)}
	for _, key := range keys {
		allowed(t, fmt.Sprintf("%.20q", key), take(t, rates, key, one), true)
	}
	for _, key := range keys {
		allowed(t, fmt.Sprintf("%.20q again", key), take(t, rates, key, one), false)
	}
	for _, key := range []string{"", "-other", "a"} {
		if taken, err := rates.Take(t.Context(), other, key, one); err != nil || !taken.Allowed {
			t.Errorf("another purpose, key %q: %+v, %v", key, taken, err)
		}
	}
}

func noMoreOfMany(t *testing.T, rates store.Rates) {
	const callers, calls = 16, 20
	rate := store.Rate{Events: 100, Window: 100 * time.Hour}
	var passed, failed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range calls {
				taken, err := rates.Take(t.Context(), purpose, "a", rate)
				if err != nil {
					failed.Add(1)
				}
				if taken.Allowed {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() != int64(rate.Events) || failed.Load() != 0 {
		t.Errorf("%d of %d events passed, want %d; %d calls failed", passed.Load(), callers*calls, rate.Events, failed.Load())
	}
}

func extremes(t *testing.T, rates store.Rates) {
	fast := store.Rate{Events: 1_000_000, Window: time.Second}
	taken := take(t, rates, "fast", fast)
	allowed(t, "fast", taken, true)
	if taken.Remaining != fast.Events-1 {
		t.Errorf("of the fastest rate %d are left", taken.Remaining)
	}
	year := store.Rate{Events: 1, Window: 366 * 24 * time.Hour}
	allowed(t, "slow", take(t, rates, "year", year), true)
	refused := take(t, rates, "year", year)
	allowed(t, "slow again", refused, false)
	if !near(refused.RetryAfter, year.Window) {
		t.Errorf("of the slowest rate: %+v", refused)
	}
}

func noRateInEndedContext(t *testing.T, rates store.Rates) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if taken, err := rates.Take(ctx, purpose, "a", slow); taken.Allowed || !errors.Is(err, context.Canceled) {
		t.Errorf("got %+v, %v; want the context's error", taken, err)
	}
}
