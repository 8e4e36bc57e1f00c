package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

var onceAnHour = store.Rate{Events: 1, Window: time.Hour}

// While secrets rotate, nodes that have both and nodes that have the first one alone
// count together: otherwise everybody would have twice as much meanwhile.
func TestRatesWhileSecretsRotate(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	before := open(t, redis.Config{URLs: []string{server.URL()}})
	both := open(t, redis.Config{URLs: []string{server.URL()}, Seals: []string{secret, newer}})
	if taken, err := before.Take(t.Context(), purpose, "a", onceAnHour); err != nil || !taken.Allowed {
		t.Fatal(taken, err)
	}
	if taken, err := both.Take(t.Context(), purpose, "a", onceAnHour); err != nil || taken.Allowed {
		t.Errorf("%+v, %v: the node with both secrets counts by itself", taken, err)
	}
}

// What somebody else wrote under a key, or a clock that was set back, locks it for one
// window at most.
func TestRatesOfAStrangeValue(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	take := func() store.Taken {
		taken, err := s.Take(t.Context(), purpose, "a", onceAnHour)
		if err != nil {
			t.Fatal(err)
		}
		return taken
	}
	take()
	name := server.CLI("keys", "gatehouse:r:*")
	name = name[:len(name)-1]
	server.CLI("set", name, "99999999999999999")
	if taken := take(); taken.Allowed || taken.RetryAfter > time.Hour {
		t.Errorf("an instant of the far future: %+v", taken)
	}
	server.CLI("set", name, "nonsense")
	if taken := take(); !taken.Allowed {
		t.Errorf("no instant: %+v", taken)
	}
	if left := server.CLI("pttl", name); left == "-1\n" {
		t.Error("the key never ends")
	}
	server.CLI("hset", "other", "a", "b")
	server.CLI("rename", "other", name)
	if _, err := s.Take(t.Context(), purpose, "a", onceAnHour); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a value of another type: %v", err)
	}
}
