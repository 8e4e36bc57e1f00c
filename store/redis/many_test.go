package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

func TestRefillOfRevocations(t *testing.T) {
	t.Parallel()
	refill(t, 2000)
}

// refill empties a Redis with that many revocations. It has the whole list again soon,
// by counting, and a node that starts meanwhile serves when it has all of it.
func refill(t *testing.T, many int) {
	t.Helper()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	quiet := slog.New(slog.DiscardHandler)
	first := revocation.NewState(s)
	events := make([]revocation.Event, many)
	for i := range events {
		events[i] = revocation.Event{
			Kind: revocation.KindID, Issuer: "https://idp.example", Value: fmt.Sprint("token-", i), Until: time.Now().Add(time.Hour),
		}
	}
	for _, err := range first.RevokeAll(t.Context(), events) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := first.Load(t.Context(), quiet); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	server.CLI("flushall")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		first.Follow(ctx, quiet)
	}()
	await(t, "the refill begins", func() bool {
		return strings.TrimSpace(server.CLI("exists", "gatehouse:{l:revocations}:ids")) == "1"
	})
	second := revocation.NewState(s)
	go second.Follow(ctx, quiet)
	await(t, "a node that started meanwhile is ready", second.Loaded)
	if status := second.Status(); status.Events != many {
		t.Errorf("it is ready with %d revocations of %d", status.Events, many)
	}
	third := revocation.NewState(s)
	await(t, "the refill is over", func() bool { return third.Load(ctx, quiet) == nil })
	if status := third.Status(); status.Events != many {
		t.Errorf("the log has %d revocations of %d", status.Events, many)
	}
	t.Logf("%d revocations were there again after %v", many, time.Since(began))
	cancel()
	<-ended
}

// await waits for a condition.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	late := time.After(2 * time.Minute)
	for tick := time.NewTicker(10 * time.Millisecond); !holds(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("it never happens that %s", what)
		}
	}
}
