package redis_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

// reader is somebody with access to Redis.
func reader(t *testing.T, server *storetest.Redis) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func names(t *testing.T, c *goredis.Client) []string {
	t.Helper()
	found, err := c.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

// Whoever reads all of Redis finds no identifier, no value and no secret, in no
// spelling.
func TestRedisLearnsNothing(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	for _, seals := range [][]string{{secret}, {secret, newer}} {
		s := open(t, redis.Config{URLs: []string{server.URL()}, Seals: seals})
		for i := range 20 {
			until := time.Now().Add(time.Minute)
			id := fmt.Sprint("canary-id-", i)
			if _, err := s.Mark(t.Context(), purpose, id, until); err != nil {
				t.Fatal(err)
			}
			if err := s.Put(t.Context(), purpose, id, []byte("canary-value"), until); err != nil {
				t.Fatal(err)
			}
			if err := s.Append(t.Context(), log, id, []byte("canary-data"), until); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := reader(t, server)
	var all bytes.Buffer
	for _, name := range names(t, c) {
		all.WriteString(name + "\n")
		switch kind := c.Type(t.Context(), name).Val(); kind {
		case "string":
			all.WriteString(c.Get(t.Context(), name).Val())
		case "stream":
			fmt.Fprint(&all, c.XRange(t.Context(), name, "-", "+").Val())
		case "zset":
			fmt.Fprint(&all, c.ZRangeWithScores(t.Context(), name, 0, -1).Val())
		case "hash":
			fmt.Fprint(&all, c.HGetAll(t.Context(), name).Val())
		default:
			t.Errorf("%s is a %s", name, kind)
		}
		if !strings.HasPrefix(name, "gatehouse:") {
			t.Errorf("the name %s lacks the prefix", name)
		}
	}
	if all.Len() < 5000 {
		t.Fatalf("only %d octets were found", all.Len())
	}
	for _, hidden := range []string{"canary", secret, newer} {
		for _, spelling := range []string{
			hidden, hex.EncodeToString([]byte(hidden)), strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(hidden)), "=")[:6],
		} {
			if strings.Contains(all.String(), spelling) {
				t.Errorf("%q shows in Redis", spelling)
			}
		}
	}
}

// Each name has an end in Redis, but for the log's, whose records have.
func TestEverythingEnds(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	c := reader(t, server)
	for _, life := range []time.Duration{time.Nanosecond, time.Millisecond / 2, time.Millisecond, time.Minute} {
		_, _ = s.Mark(t.Context(), purpose, life.String(), time.Now().Add(life))
		_ = s.Put(t.Context(), purpose, life.String(), nil, time.Now().Add(life))
		for _, name := range names(t, c) {
			if left := c.PTTL(t.Context(), name).Val(); left == -1 || left > time.Minute+time.Millisecond {
				t.Errorf("%s after a life of %s: it lives %d", name, life, left)
			}
		}
	}
}

// What somebody else wrote is not there, whatever he did to what was.
func TestTamperedValuesAreNotThere(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	told := 0
	s := open(t, redis.Config{URLs: []string{server.URL()}, Unreadable: func(u redis.Unreadable) {
		if u.Record || u.Purpose != purpose {
			t.Errorf("told of %+v", u)
		}
		told++
	}})
	c := reader(t, server)
	put := func(key, value string) string {
		before := names(t, c)
		if err := s.Put(t.Context(), purpose, key, []byte(value), time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		for _, name := range names(t, c) {
			if !slices.Contains(before, name) {
				return name
			}
		}
		t.Fatal("nothing was put")
		return ""
	}
	a, b := put("a", "value a"), put("b", "value b")
	whole := []byte(c.Get(t.Context(), a).Val())
	tries := map[string][]byte{"empty": {}, "another name's": []byte(c.Get(t.Context(), b).Val()), "longer": append(slices.Clone(whole), 0)}
	for i := range whole {
		flipped := slices.Clone(whole)
		flipped[i] ^= 1 << (i % 8)
		tries[fmt.Sprint("bit of octet ", i)] = flipped
		tries[fmt.Sprint("cut at ", i)] = whole[:i]
	}
	for name, try := range tries {
		if err := c.Set(t.Context(), a, try, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
		if value, found, err := s.Get(t.Context(), purpose, "a"); found || err != nil || value != nil {
			t.Errorf("%s: %q, %t, %v", name, value, found, err)
		}
	}
	if values, records := s.Unreadable(); int(values) != len(tries) || records != 0 || told != len(tries) {
		t.Errorf("%d values and %d records of %d were counted, %d told", values, records, len(tries), told)
	}
	if err := c.Set(t.Context(), a, whole, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if value, found, err := s.Get(t.Context(), purpose, "a"); string(value) != "value a" || !found || err != nil {
		t.Errorf("put back: %q, %t, %v", value, found, err)
	}
}

// The end is sealed with the value: whoever gives it a longer life in Redis gains
// nothing.
func TestEndIsSealed(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	if err := s.Put(t.Context(), purpose, "a", nil, time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	c := reader(t, server)
	if err := c.Persist(t.Context(), names(t, c)[0]).Err(); err != nil {
		t.Fatal(err)
	}
	<-time.After(1100 * time.Millisecond)
	if _, found, err := s.Get(t.Context(), purpose, "a"); found || err != nil {
		t.Errorf("%t, %v", found, err)
	}
}

// A record that does not open is passed over and told of: the log goes on.
func TestTamperedRecords(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	var told []redis.Unreadable
	s := open(t, redis.Config{URLs: []string{server.URL()}, Unreadable: func(u redis.Unreadable) { told = append(told, u) }})
	c := reader(t, server)
	add(t, s, "a")
	stream := "gatehouse:{l:testlog}:stream"
	sealed, _ := c.XRange(t.Context(), stream, "-", "+").Val()[0].Values["r"].(string)
	foreign := open(t, redis.Config{URLs: []string{server.URL()}, Seals: []string{newer}})
	add(t, foreign, "of another secret")
	for _, values := range []map[string]any{{"r": sealed[:20]}, {"r": sealed + "x"}, {"x": sealed}, {"r": ""}} {
		if err := c.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	add(t, s, "b")
	if found, _ := ids(t, s, ""); !slices.Equal(found, []string{"a", "b"}) {
		t.Errorf("the log holds %q", found)
	}
	want := redis.Unreadable{Purpose: log, Record: true}
	if _, records := s.Unreadable(); records != 5 || len(told) != 5 || told[0] != want {
		t.Errorf("%d records were counted, and told of %+v", records, told)
	}
	// Another log's record, under this log's name.
	if err := s.Append(t.Context(), "elsewhere", "c", nil, time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	moved, _ := c.XRange(t.Context(), "gatehouse:{l:elsewhere}:stream", "-", "+").Val()[0].Values["r"].(string)
	if err := c.XAdd(t.Context(), &goredis.XAddArgs{Stream: stream, Values: map[string]any{"r": moved}}).Err(); err != nil {
		t.Fatal(err)
	}
	if found, _ := ids(t, s, ""); !slices.Equal(found, []string{"a", "b"}) {
		t.Errorf("the log holds %q", found)
	}
}
