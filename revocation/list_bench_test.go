package revocation

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// benchToken is a token that is on no list, as the verifier hands it over.
func benchToken(tb testing.TB) *token.Token {
	tb.Helper()
	claims, err := token.ParseClaims([]byte(`{"iss":"` + issuer + `","sub":"0f7a3c1e-5b1d-4c43-9f5c-1a2b3c4d5e6f","sid":"c0ffee","jti":"5b1d"}`))
	if err != nil {
		tb.Fatal(err)
	}
	return &token.Token{
		Issuer: issuer, Subject: "0f7a3c1e-5b1d-4c43-9f5c-1a2b3c4d5e6f", ID: "8f14e45f-ceea-467f-a8d6-1a2b3c4d5e6f", Client: "web",
		KeyID: "k1", IssuedAt: time.Now(), Claims: claims, Essence: token.Digest{1},
	}
}

// filled is a list with that many events: of single tokens, subjects and sessions for
// the most part, and of the other kinds some.
func filled(tb testing.TB, events int) *List {
	tb.Helper()
	list := NewList()
	until := time.Now().Add(time.Hour)
	for i := range events {
		value := fmt.Sprintf("%08x-5b1d-4c43-9f5c-%012x", i, i)
		event := Event{ID: fmt.Sprintf("%016X", i), Issuer: issuer, Value: value, Until: until, At: time.Now(), Reason: "left", By: "admin"}
		switch {
		case i < 10:
			event.Kind, event.Issuer, event.Value = KindIssuer, fmt.Sprintf("https://old-%d.example.com", i), ""
		case i < 100:
			event.Kind = KindKey
		case i < 1000:
			event.Kind = KindClient
		case i%4 == 0:
			event.Kind, event.Value = KindToken, DigestValue(token.Digest{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24), 7})
		case i%4 == 1:
			event.Kind = KindSession
		case i%4 == 2:
			event.Kind = KindSubject
		default:
			event.Kind = KindID
		}
		if fresh, err := list.add(hold(&event), 0); !fresh || err != nil {
			tb.Fatal(fresh, err)
		}
	}
	return list
}

// BenchmarkCheck is what the list costs a request whose token is not on it: with a
// list that is empty, and with a million events of all kinds.
func BenchmarkCheck(b *testing.B) {
	for _, events := range []int{0, 1_000, 1_000_000} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			state := newState(nil, filled(b, events))
			state.reachedEnd(time.Now())
			state.loaded.Store(true)
			guard := NewGuard(nil, state, Bound{MaxStaleness: time.Hour})
			held := benchToken(b)
			b.ReportAllocs()
			for b.Loop() {
				if err := guard.Check(held); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkFind is the list alone, asked by all processors at once about tokens that
// differ, so that nothing of it lies in a cache for long.
func BenchmarkFind(b *testing.B) {
	for _, events := range []int{0, 1_000_000} {
		list := filled(b, events)
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				held := *benchToken(b)
				for i := uint64(1); pb.Next(); i += 0x9e3779b97f4a7c15 {
					held.Essence[3], held.Essence[4], held.Essence[5] = byte(i>>40), byte(i>>48), byte(i>>56)
					facts := factsOf(&held)
					if list.find(&facts, zeroTime) != nil {
						b.Fatal("found")
					}
				}
			})
		})
	}
}

// BenchmarkMemory reports what an event takes.
func BenchmarkMemory(b *testing.B) {
	const events = 1_000_000
	for b.Loop() {
		before := heap()
		list := filled(b, events)
		b.ReportMetric(float64(heap()-before)/events, "bytes/event")
		if list.Len() != events {
			b.Fatal(list.Len())
		}
	}
}

func heap() uint64 {
	for range 2 {
		runtime.GC() //nolint:revive // what is left is what is measured
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// On the way of a request the list takes no memory.
func TestCheckAllocatesNothing(t *testing.T) {
	for _, events := range []int{0, 10_000} {
		state := newState(nil, filled(t, events))
		state.reachedEnd(time.Now())
		state.loaded.Store(true)
		guard, held := NewGuard(nil, state, Bound{MaxStaleness: time.Hour}), benchToken(t)
		if allocs := testing.AllocsPerRun(100, func() {
			if err := guard.Check(held); err != nil {
				t.Error(err)
			}
		}); allocs > 0 {
			t.Errorf("%d events: %v allocations", events, allocs)
		}
	}
}
