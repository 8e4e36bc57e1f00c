package limit_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/limit"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLocalKeepsTheContract(t *testing.T) {
	for _, law := range storetest.RatesLaws() {
		t.Run(law.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { law.Run(t, limit.NewLocal(0)) })
		})
	}
}

const purpose = store.Purpose("test")

func allowed(tb testing.TB, rates store.Rates, key string, rate store.Rate) bool {
	tb.Helper()
	taken, err := rates.Take(tb.Context(), purpose, key, rate)
	if err != nil {
		tb.Fatal(err)
	}
	return taken.Allowed
}

func TestKeysStayInside(t *testing.T) { flood(t, 20_000) }

// flood lets that many keys come. What is remembered stays within its bound, and a key
// that is used up stays so: a caller cannot wash off its count by a flood of others.
func flood(t *testing.T, keys int) {
	t.Helper()
	const bound, used = 1 << 12, 200
	local := limit.NewLocal(bound)
	rate := store.Rate{Events: 3, Window: time.Hour}
	for i := range used {
		for range rate.Events {
			if !allowed(t, local, "used up "+strconv.Itoa(i), rate) {
				t.Fatal("refused within the rate")
			}
		}
	}
	for i := range keys {
		if !allowed(t, local, strconv.Itoa(i), rate) {
			t.Fatalf("key %d is new, and refused", i)
		}
		if i%1000 == 0 && local.Len() > bound {
			t.Fatalf("%d keys are remembered, at most %d should be", local.Len(), bound)
		}
	}
	if n := local.Len(); n > bound || n < bound/2 {
		t.Errorf("%d keys are remembered, at most %d should be", n, bound)
	}
	for i := range used {
		if allowed(t, local, "used up "+strconv.Itoa(i), rate) {
			t.Fatalf("used-up key %d was forgotten", i)
		}
	}
}

// A key costs what it is said to, however long it is.
func TestKeyCosts(t *testing.T) {
	const keys = 1 << 16
	memory := func() uint64 {
		runtime.GC() //nolint:revive // what is left is what is counted
		var now runtime.MemStats
		runtime.ReadMemStats(&now)
		return now.HeapAlloc
	}
	before := memory()
	local := limit.NewLocal(2 * keys)
	long := strings.Repeat("k", 500)
	for i := range keys {
		allowed(t, local, strconv.Itoa(i)+long, store.Rate{Events: 1, Window: time.Hour})
	}
	if each := (memory() - before) / keys; each > limit.KeyBytes {
		t.Errorf("a key costs %d octets, at most %d are said", each, limit.KeyBytes)
	}
	if n := local.Len(); n != keys {
		t.Errorf("%d of %d keys are remembered", n, keys)
	}
}

// What has all of its rate again is forgotten, without a goroutine that looks for it.
func TestFullKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		local := limit.NewLocal(0)
		rate := store.Rate{Events: 1, Window: time.Second}
		for i := range 1000 {
			allowed(t, local, fmt.Sprint(i), rate)
		}
		if n := local.Len(); n != 1000 {
			t.Fatalf("%d keys are remembered", n)
		}
		<-time.After(2 * time.Second)
		for i := range 2000 {
			allowed(t, local, fmt.Sprint("later ", i), store.Rate{Events: 1, Window: time.Hour})
		}
		if n := local.Len(); n != 2000 {
			t.Errorf("%d keys are remembered, want the 2000 that are not full", n)
		}
	})
}

func TestRulesCountApart(t *testing.T) {
	base := limit.Rule{Key: "k", Path: "p", Value: "v", Rate: store.Rate{Events: 1, Window: time.Minute}}
	others := map[string]func(*limit.Rule){
		"key":          func(r *limit.Rule) { r.Key = "kp" },
		"path":         func(r *limit.Rule) { r.Path = "pv" },
		"value":        func(r *limit.Rule) { r.Value = "" },
		"moved border": func(r *limit.Rule) { r.Key, r.Path = "kp", "" },
		"events":       func(r *limit.Rule) { r.Rate.Events = 2 },
		"window":       func(r *limit.Rule) { r.Rate.Window = time.Hour },
	}
	seen := map[string]string{base.ID(): "base"}
	for name, change := range others {
		rule := base
		change(&rule)
		if earlier := seen[rule.ID()]; earlier != "" {
			t.Errorf("%s has the name of %s", name, earlier)
		}
		seen[rule.ID()] = name
	}
	local := limit.NewLocal(0)
	first, second := limit.New(base, local, nil), limit.New(base, local, nil)
	base.Key = "other"
	third := limit.New(base, local, nil)
	got := []bool{
		first.Take(t.Context(), "a").Allowed, second.Take(t.Context(), "a").Allowed, third.Take(t.Context(), "a").Allowed,
	}
	if diff := cmp.Diff([]bool{true, false, true}, got); diff != "" {
		t.Errorf("allowed (-want +got):\n%s", diff)
	}
}

// A flaky store is one that answers or not, as the test says.
type flaky struct {
	*limit.Local

	down  atomic.Bool
	asked atomic.Int64
}

func (f *flaky) Take(ctx context.Context, purpose store.Purpose, key string, rate store.Rate) (store.Taken, error) {
	f.asked.Add(1)
	if f.down.Load() {
		return store.Taken{}, fmt.Errorf("taking: %w", store.ErrUnavailable)
	}
	return f.Local.Take(ctx, purpose, key, rate)
}

// While the store is away each process counts alone, asks once a second, and says so
// once; then they go on where they were.
func TestStoreThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		shared := &flaky{Local: limit.NewLocal(0)}
		alone := 0
		limited := limit.New(limit.Rule{Key: "k", Rate: store.Rate{Events: 2, Window: time.Hour}}, limit.NewLocal(0),
			limit.NewShared(shared, slog.New(slog.NewTextHandler(&said, nil)), func() { alone++ }))
		take := func() bool { return limited.Take(t.Context(), "a").Allowed }
		got := []bool{take()}
		shared.down.Store(true)
		for range 4 {
			got = append(got, take())
		}
		if n := shared.asked.Load(); n != 2 || alone != 4 {
			t.Errorf("the store was asked %d times, %d requests were counted alone", n, alone)
		}
		<-time.After(1001 * time.Millisecond)
		take()
		take()
		if n := shared.asked.Load(); n != 3 {
			t.Errorf("after a second the store was asked %d times, want 3", n)
		}
		shared.down.Store(false)
		<-time.After(1001 * time.Millisecond)
		got = append(got, take(), take())
		if diff := cmp.Diff([]bool{true, true, true, false, false, true, false}, got); diff != "" {
			t.Errorf("allowed (-want +got):\n%s", diff)
		}
		if strings.Count(said.String(), "each node alone") != 1 || strings.Count(said.String(), "all nodes together again") != 1 {
			t.Errorf("the log says:\n%s", &said)
		}
	})
}

// A caller that goes away says nothing about the store, and nothing passes uncounted.
func TestCallerThatWentAway(t *testing.T) {
	shared := &flaky{Local: limit.NewLocal(0)}
	limited := limit.New(limit.Rule{Key: "k", Rate: store.Rate{Events: 1, Window: time.Hour}}, limit.NewLocal(0),
		limit.NewShared(shared, slog.New(slog.DiscardHandler), nil))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if !limited.Take(gone, "a").Allowed || limited.Take(gone, "a").Allowed {
		t.Error("callers that are gone are not counted in this process")
	}
	limited.Take(t.Context(), "a")
	if n := shared.asked.Load(); n != 3 {
		t.Errorf("the store was asked %d times, want 3: it was never away", n)
	}
}

func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := limit.NewLocal(0).Take(ctx, purpose, "a", store.Rate{Events: 1, Window: time.Second}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
