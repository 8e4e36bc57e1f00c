package store_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// million is how many live revocations a node is built for.
const million = 1_000_000

// revocationSize is about as long as a record of one.
const revocationSize = 120

func appendMany(b *testing.B, m *store.Memory, records int) {
	b.Helper()
	data, until := make([]byte, revocationSize), time.Now().Add(time.Hour)
	for i := range records {
		if err := m.Append(b.Context(), purpose, fmt.Sprintf("%026d", i), data, until.Add(time.Duration(i%1000)*time.Second)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMemoryMillionRecords tells what a record costs beyond its own octets, and how
// long a reader needs for all of them.
func BenchmarkMemoryMillionRecords(b *testing.B) {
	m := store.NewMemory(0)
	before := heapBytes()
	appendMany(b, m, million)
	each := float64(heapBytes()-before) / million
	for b.Loop() {
		var at store.Position
		read := 0
		for {
			records, next, err := m.Read(b.Context(), purpose, at, 1000, 0)
			if err != nil {
				b.Fatal(err)
			}
			if len(records) == 0 {
				break
			}
			read, at = read+len(records), next
		}
		if read != million {
			b.Fatalf("%d records were read", read)
		}
	}
	b.ReportMetric(each, "B/record")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/million, "ns/record")
	runtime.KeepAlive(m)
}

// BenchmarkPersistentAppend tells what callers at once get through the disk.
func BenchmarkPersistentAppend(b *testing.B) {
	m := store.NewPersistent(store.MemoryConfig{Path: b.TempDir()})
	if err := m.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	data, until := make([]byte, revocationSize), time.Now().Add(time.Hour)
	ids := make(chan string)
	go func() {
		defer close(ids)
		for i := range b.N {
			ids <- fmt.Sprint(i)
		}
	}()
	b.SetParallelism(128)
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := m.Append(b.Context(), purpose, <-ids, data, until); err != nil && !errors.Is(err, store.ErrFull) {
				b.Error(err)
			}
		}
	})
	if err := m.Close(); err != nil {
		b.Error(err)
	}
}

// BenchmarkPersistentMark is BenchmarkMemoryMark with a path.
func BenchmarkPersistentMark(b *testing.B) {
	m := store.NewPersistent(store.MemoryConfig{Path: b.TempDir(), Marks: 1 << 30})
	if err := m.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	ids := make([]string, 1<<16)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := m.Mark(b.Context(), purpose, ids[i%len(ids)], time.Now().Add(time.Second)); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if err := m.Close(); err != nil {
		b.Error(err)
	}
}
