package redis_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

// steps are those of a rotation: at any time the nodes are at two neighbouring ones.
var steps = [][]string{{secret}, {secret, newer}, {newer, secret}, {newer}}

// neighbours calls f with nodes of each two steps that may be beside each other.
func neighbours(t *testing.T, f func(t *testing.T, before, after *redis.Store)) {
	t.Helper()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	for i := range len(steps) - 1 {
		for j, order := range [][2]int{{i, i + 1}, {i + 1, i}} {
			t.Run(fmt.Sprint("steps ", order), func(t *testing.T) {
				t.Parallel()
				prefix := fmt.Sprintf("step%d%d:", i, j)
				f(t, open(t, redis.Config{URLs: []string{server.URL()}, Seals: steps[order[0]], Prefix: prefix}),
					open(t, redis.Config{URLs: []string{server.URL()}, Seals: steps[order[1]], Prefix: prefix}))
			})
		}
	}
}

func TestRotationOfMarks(t *testing.T) {
	t.Parallel()
	neighbours(t, func(t *testing.T, one, other *redis.Store) {
		until := time.Now().Add(time.Minute)
		for i := range 20 {
			if fresh, err := one.Mark(t.Context(), purpose, fmt.Sprint(i), until); !fresh || err != nil {
				t.Fatal(fresh, err)
			}
			if fresh, err := other.Mark(t.Context(), purpose, fmt.Sprint(i), until); fresh || err != nil {
				t.Fatal("a mark was not seen", fresh, err)
			}
		}
	})
}

// Of nodes at two steps exactly one is told that an identifier is fresh.
func TestRotationOfMarksAtOnce(t *testing.T) {
	t.Parallel()
	neighbours(t, func(t *testing.T, one, other *redis.Store) {
		until := time.Now().Add(time.Minute)
		const rounds = 200
		for i := range rounds {
			var fresh atomic.Int64
			var wg sync.WaitGroup
			for _, s := range []*redis.Store{one, other, one, other} {
				wg.Go(func() {
					ok, err := s.Mark(t.Context(), purpose, fmt.Sprint(i), until)
					if err != nil {
						t.Error(err)
					}
					if ok {
						fresh.Add(1)
					}
				})
			}
			wg.Wait()
			if fresh.Load() != 1 {
				t.Fatalf("round %d: %d nodes were told that it is fresh", i, fresh.Load())
			}
		}
	})
}

func TestRotationOfValues(t *testing.T) {
	t.Parallel()
	neighbours(t, func(t *testing.T, one, other *redis.Store) {
		until := time.Now().Add(time.Minute)
		for i, pair := range [][2]*redis.Store{{one, other}, {other, one}, {one, other}} {
			want := fmt.Sprint("value ", i)
			if err := pair[0].Put(t.Context(), purpose, "a", []byte(want), until); err != nil {
				t.Fatal(err)
			}
			if value, found, err := pair[1].Get(t.Context(), purpose, "a"); string(value) != want || !found || err != nil {
				t.Errorf("put by one, read by the other: %q, %t, %v; want %q", value, found, err, want)
			}
		}
	})
}

func TestRotationOfLogs(t *testing.T) {
	t.Parallel()
	neighbours(t, func(t *testing.T, one, other *redis.Store) {
		add(t, one, "a")
		add(t, other, "b")
		add(t, other, "a")
		add(t, one, "b")
		for _, s := range []*redis.Store{one, other} {
			if found, _ := ids(t, s, ""); !slices.Equal(found, []string{"a", "b"}) {
				t.Errorf("the log holds %q", found)
			}
		}
	})
}

// A value that was put before the rotation is there until its end, as long as the old
// secret is.
func TestValueOfBefore(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	old := open(t, redis.Config{URLs: []string{server.URL()}, Seals: steps[0]})
	if err := old.Put(t.Context(), purpose, "a", []byte("1"), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, true, true, false} {
		s := open(t, redis.Config{URLs: []string{server.URL()}, Seals: steps[i]})
		if _, found, err := s.Get(t.Context(), purpose, "a"); found != want || err != nil {
			t.Errorf("step %d: %t, %v; want %t", i, found, err, want)
		}
	}
}
