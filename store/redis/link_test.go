package redis_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

// A replica that has lost its master answers with what it had then, and must not be
// taken for the log.
func TestReplicaWithoutItsMaster(t *testing.T) {
	t.Parallel()
	master := storetest.StartRedis(t, storetest.RedisOptions{AppendOnly: true})
	replica := storetest.StartRedis(t, storetest.RedisOptions{Args: []string{"--replicaof", "127.0.0.1 " + strconv.Itoa(master.Port)}})
	add(t, open(t, redis.Config{URLs: []string{master.URL()}}), "a")
	caughtUp(t, replica)
	s := open(t, redis.Config{URLs: []string{replica.URL()}})
	if found, _ := ids(t, s, ""); !slices.Equal(found, []string{"a"}) {
		t.Fatalf("the replica has %q", found)
	}
	master.Kill()
	readUntil(t, s, func(err error) bool {
		return errors.Is(err, store.ErrUnavailable) && strings.Contains(err.Error(), "a replica that has lost its master")
	})
	master.Restart()
	readUntil(t, s, func(err error) bool { return err == nil })
}

func readUntil(t *testing.T, s *redis.Store, so func(error) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		_, _, err := s.Read(t.Context(), log, "", 10, 0)
		if so(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("reading: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// Where INFO is forbidden nobody can tell, and the operator is told so once.
func TestReplicaThatDoesNotSay(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	server.CLI("acl", "setuser", "gateway", "on", ">pass word", "~gatehouse:*", "+@all", "-info")
	var said bytes.Buffer
	s := open(t, redis.Config{
		URLs: []string{server.URL()}, Username: "gateway", Password: "pass word", Log: slog.New(slog.NewTextHandler(&said, nil)),
	})
	add(t, s, "a")
	for range 3 {
		ids(t, s, "")
	}
	if n := strings.Count(said.String(), "allow +info"); n != 1 {
		t.Errorf("it was said %d times:\n%s", n, &said)
	}
}

// The last sixteenth is not for those who must leave it.
func TestLogHoldsRoomBack(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}, Records: 32})
	until := time.Now().Add(time.Minute)
	for i := range 30 {
		if err := s.AppendLeaving(t.Context(), log, fmt.Sprint(i), nil, until); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := s.AppendLeaving(t.Context(), log, "one more", nil, until); !errors.Is(err, store.ErrFull) {
		t.Errorf("one more: %v; want ErrFull", err)
	}
	add(t, s, "31")
	add(t, s, "32")
	if err := s.Append(t.Context(), log, "33", nil, until); !errors.Is(err, store.ErrFull) {
		t.Errorf("beyond: %v; want ErrFull", err)
	}
}
