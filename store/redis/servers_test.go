package redis_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

// commands are what the reference tells operators to allow, and what a Cluster needs
// besides.
const (
	commands = "-@all +hello +auth +ping +info +select +evalsha +eval +set +get +del +exists " +
		"+xadd +xdel +xrange +xlen +xread +xinfo|stream +zadd +zcard +zrem +zrangebyscore +zscore +hset +hget +hdel +time"
	clusterCommands = "+cluster|slots +cluster|shards +cluster|nodes +readonly +asking +command"
)

// gateway makes a user with these permissions.
func gateway(permissions string) []string {
	return slices.Concat([]string{"acl", "setuser", "gateway", "on", ">of the gateway", "~law*", "resetchannels"}, strings.Fields(permissions))
}

// A password and TLS, and a user who may do what the reference says and no more.
func TestPasswordAndTLS(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{TLS: true, Password: "of the default user"})
	pem, err := os.ReadFile(server.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	admin := open(t, redis.Config{URLs: []string{server.URL()}, Roots: roots, Password: "of the default user"})
	if err := admin.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.CLI(slices.Concat([]string{"--tls", "--cacert", server.CA, "-a", "of the default user", "--no-auth-warning"},
		gateway(commands))...)
	obeys(t, redis.Config{
		URLs: []string{"redis://" + server.Addr()}, TLS: true, Roots: roots, Username: "gateway", Password: "of the gateway",
	})
}

// A node of the Cluster that is gone takes its part along, and nothing else.
func TestClusterWithoutANode(t *testing.T) {
	t.Parallel()
	nodes := storetest.StartRedisCluster(t)
	s := open(t, redis.Config{URLs: []string{nodes[0].URL(), nodes[1].URL()}, Timeout: time.Second})
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	nodes[2].Kill()
	failed := 0
	for id := range 60 {
		fresh, err := s.Mark(t.Context(), purpose, string(rune('a'+id)), time.Now().Add(time.Minute))
		switch {
		case err == nil && !fresh:
			t.Error("a new identifier is not fresh")
		case err != nil && !errors.Is(err, store.ErrUnavailable):
			t.Error(err)
		case err != nil:
			failed++
		}
		if failed > 2 {
			break
		}
	}
	if failed == 0 {
		t.Error("no mark failed")
	}
	if err := s.Probe(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("probing: %v; want ErrUnavailable", err)
	}
}

// Sentinels name the master. After its end they name another, and readers are told
// that it is another log: its end may be missing.
func TestSentinelsNameAnotherMaster(t *testing.T) {
	t.Parallel()
	master := storetest.StartRedis(t, storetest.RedisOptions{})
	replica := storetest.StartRedis(t, storetest.RedisOptions{Args: []string{"--replicaof", "127.0.0.1", strings.Split(master.Addr(), ":")[1]}})
	sentinel := storetest.StartSentinel(t, "gatehouse", master, replica)
	s := open(t, redis.Config{URLs: []string{sentinel.URL()}, Sentinel: "gatehouse"})
	if fresh, err := s.Mark(t.Context(), purpose, "a", time.Now().Add(time.Minute)); !fresh || err != nil {
		t.Fatal(fresh, err)
	}
	add(t, s, "a")
	_, at := ids(t, s, "")
	caughtUp(t, replica)
	master.Kill()
	for deadline := time.Now().Add(time.Minute); ; {
		_, _, err := s.Read(t.Context(), log, at, 10, 0)
		if errors.Is(err, store.ErrReset) {
			break
		}
		if !errors.Is(err, store.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("reading at the new master: %v; want ErrReset", err)
		}
		<-time.After(50 * time.Millisecond)
	}
	if fresh, err := s.Mark(t.Context(), purpose, "a", time.Now().Add(time.Minute)); fresh || err != nil {
		t.Errorf("the mark of the old master: %t, %v", fresh, err)
	}
	if found, _ := ids(t, s, ""); !slices.Equal(found, []string{"a"}) {
		t.Errorf("the log holds %q", found)
	}
}

func caughtUp(t *testing.T, replica *storetest.Redis) {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: replica.Addr()})
	defer func() { _ = c.Close() }()
	for c.XLen(t.Context(), "gatehouse:{l:testlog}:stream").Val() == 0 {
		<-time.After(10 * time.Millisecond)
	}
}

// Each call is one round trip, and a script that is known already is not sent again.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	until := time.Now().Add(time.Hour)
	one := open(t, redis.Config{URLs: []string{server.URL()}})
	two := open(t, redis.Config{URLs: []string{server.URL()}, Seals: []string{newer, secret}, Prefix: "two:"})
	n := 0
	id := func() string { n++; return fmt.Sprint(n) }
	mark := func(s *redis.Store) error { _, err := s.Mark(t.Context(), purpose, id(), until); return err }
	read := func(s *redis.Store) error { _, _, err := s.Read(t.Context(), log, "", 10, 0); return err }
	for _, tt := range []struct {
		name string
		s    *redis.Store
		want map[string]int
		call func(s *redis.Store) error
	}{
		{"Mark", one, map[string]int{"set": 1}, mark},
		{"Mark with two secrets", two, map[string]int{"set": 2}, mark},
		{"Put", one, map[string]int{"set": 1}, func(s *redis.Store) error { return s.Put(t.Context(), purpose, "a", nil, until) }},
		{"Get", one, map[string]int{"get": 1}, func(s *redis.Store) error { _, _, err := s.Get(t.Context(), purpose, "a"); return err }},
		{"Delete", one, map[string]int{"del": 1}, func(s *redis.Store) error { return s.Delete(t.Context(), purpose, "a") }},
		{"Append", one, map[string]int{"evalsha": 1}, func(s *redis.Store) error { return s.Append(t.Context(), log, id(), nil, until) }},
		{"Read", one, map[string]int{"evalsha": 1}, read},
		{"Take", one, map[string]int{"evalsha": 1}, func(s *redis.Store) error {
			_, err := s.Take(t.Context(), purpose, id(), store.Rate{Events: 1, Window: time.Minute})
			return err
		}},
		{"Probe", one, map[string]int{"ping": 1}, func(s *redis.Store) error { return s.Probe(t.Context()) }},
	} {
		var sent map[string]int
		for range 2 { // the first time connections are made, and scripts loaded
			server.CLI("config", "resetstat")
			if err := tt.call(tt.s); err != nil {
				t.Error(err)
			}
			sent = commandsSent(server)
		}
		if diff := cmp.Diff(tt.want, sent); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// commandsSent counts the commands of clients. Where a script is among them, those that
// it called are left out.
func commandsSent(server *storetest.Redis) map[string]int {
	all := make(map[string]int)
	for line := range strings.Lines(server.CLI("info", "commandstats")) {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		calls, _, _ := strings.Cut(rest, ",")
		if n, err := strconv.Atoi(calls); err == nil && !strings.HasPrefix(name, "config") && name != "info" {
			all[name] = n
		}
	}
	if scripts := all["evalsha"]; scripts > 0 {
		return map[string]int{"evalsha": scripts + all["eval"]}
	}
	return all
}
