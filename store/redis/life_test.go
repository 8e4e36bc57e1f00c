package redis_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

const log = store.Purpose("testlog")

func appendTo(tb testing.TB, s store.Log, id string, life time.Duration) {
	tb.Helper()
	if err := s.Append(tb.Context(), log, id, []byte("data of "+id), time.Now().Add(life)); err != nil {
		tb.Fatal(err)
	}
}

func add(tb testing.TB, s *redis.Store, id string) {
	tb.Helper()
	appendTo(tb, s, id, time.Minute)
}

// ids are what the log holds behind the position.
func ids(tb testing.TB, s *redis.Store, after store.Position) (found []string, next store.Position) {
	tb.Helper()
	records, next, err := s.Read(tb.Context(), log, after, 100, 0)
	if err != nil {
		tb.Fatal(err)
	}
	for _, record := range records {
		found = append(found, record.ID)
	}
	return found, next
}

func isReset(t *testing.T, s *redis.Store, after store.Position) {
	t.Helper()
	if _, _, err := s.Read(t.Context(), log, after, 100, 0); !errors.Is(err, store.ErrReset) {
		t.Errorf("the old position: %v; want ErrReset", err)
	}
}

func TestLogOfARestartedServer(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(*storetest.Redis){
		"empty":            (*storetest.Redis).RestartEmpty,
		"with what it had": (*storetest.Redis).Restart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := storetest.StartRedis(t, storetest.RedisOptions{AppendOnly: true})
			s := open(t, redis.Config{URLs: []string{server.URL()}})
			add(t, s, "a")
			_, at := ids(t, s, "")
			server.Kill()
			restart(server)
			isReset(t, s, at)
			// What every reader does then: append what it holds, and read from the beginning.
			add(t, s, "a")
			add(t, s, "b")
			found, at := ids(t, s, "")
			if !slices.Equal(found, []string{"a", "b"}) {
				t.Errorf("the log holds %q", found)
			}
			if found, _ = ids(t, s, at); len(found) != 0 {
				t.Errorf("behind its end it holds %q", found)
			}
		})
	}
}

// Whoever can write can put an entry at the last place that there is. Nodes that have
// read it go on as soon as the stream was mended.
func TestLogWithAnEntryAtTheLastPlace(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	add(t, s, "a")
	const stream = "gatehouse:{l:testlog}:stream"
	server.CLI("xadd", stream, "18446744073709551615-18446744073709551615", "k", "x", "r", "y")
	found, at := ids(t, s, "")
	if !slices.Equal(found, []string{"a"}) {
		t.Errorf("the log holds %q", found)
	}
	if found, at = ids(t, s, at); len(found) != 0 {
		t.Errorf("behind its end it holds %q", found)
	}
	server.CLI("del", stream)
	isReset(t, s, at)
	add(t, s, "b")
	if found, _ = ids(t, s, ""); !slices.Equal(found, []string{"b"}) {
		t.Errorf("the new log holds %q", found)
	}
}

// Who takes entries out of the stream by hand takes no record from anybody: readers
// hear of it once, and put back what they hold. What nobody holds is not missed again
// and again.
func TestLogThatLostEntries(t *testing.T) {
	const stream = "gatehouse:{l:testlog}:stream"
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	for i := range 10 {
		add(t, s, fmt.Sprint(i))
	}
	appendTo(t, s, "short", time.Second)
	places := strings.Fields(server.CLI("xrange", stream, "-", "+"))
	places = slices.DeleteFunc(places, func(text string) bool { return !place.MatchString(text) })
	_, at := ids(t, s, "")
	for name, take := range map[string]func(){
		"one":                 func() { server.CLI("xdel", stream, places[4]) },
		"the oldest":          func() { server.CLI("xtrim", stream, "minid", places[2]) },
		"the last, all ended": func() { server.CLI("xdel", stream, places[10]) },
	} {
		t.Run(name, func(t *testing.T) {
			take()
			isReset(t, s, at)
			_, at = ids(t, s, "")
			for range 3 {
				if found, next := ids(t, s, at); len(found) != 0 || next != at {
					t.Errorf("behind the end it holds %q", found)
				}
			}
		})
	}
	for i := range 10 {
		add(t, s, fmt.Sprint(i))
	}
	found, at := ids(t, s, "")
	slices.Sort(found)
	if !slices.Equal(found, []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}) {
		t.Errorf("the log holds %q", found)
	}
	// Nobody put back the one that has ended; another one that is taken out is missed.
	server.CLI("xdel", stream, places[6])
	isReset(t, s, at)
}

var place = regexp.MustCompile(`^\d+-\d+$`)

// Many records at once are those that one by one would be, and each is there once.
func TestLogTakesManyAtOnce(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}, Records: 1200})
	var records []store.Record
	for i := range 1000 {
		records = append(records, store.Record{ID: fmt.Sprint(i), Data: []byte("data"), Until: time.Now().Add(time.Minute)})
	}
	for range 2 {
		if err := s.AppendAll(t.Context(), log, records); err != nil {
			t.Fatal(err)
		}
	}
	found, _, err := s.Read(t.Context(), log, "", 1000, 0)
	if err != nil || len(found) != len(records) || found[999].ID != "999" || string(found[0].Data) != "data" {
		t.Fatalf("%d records, %v", len(found), err)
	}
	server.CLI("script", "flush") // as after a restart
	for i := range records {
		records[i].ID = "more-" + records[i].ID
	}
	if err := s.AppendAll(t.Context(), log, records); !errors.Is(err, store.ErrFull) {
		t.Errorf("beyond its room: %v", err)
	}
	server.Kill()
	if err := s.AppendAll(t.Context(), log, records); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
}

// A log that was emptied under a running server, all of it or the stream alone.
func TestLogThatWasEmptied(t *testing.T) {
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	for _, command := range [][]string{{"flushall"}, {"del", "gatehouse:{l:testlog}:stream"}, {"del", "gatehouse:{l:testlog}:epoch"}} {
		t.Run(fmt.Sprint(command), func(t *testing.T) {
			s := open(t, redis.Config{URLs: []string{server.URL()}})
			add(t, s, "a")
			_, at := ids(t, s, "")
			server.CLI(command...)
			isReset(t, s, at)
			add(t, s, "b")
			isReset(t, s, at)
		})
	}
	storetest.Reset(t, open(t, redis.Config{URLs: []string{server.URL()}, Prefix: "one:"}), open(t, redis.Config{URLs: []string{server.URL()}, Prefix: "two:"}))
}

// A server that was set back to an older copy under the same epoch: its stream ends
// before the position.
func TestPositionBehindTheEnd(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	add(t, s, "a")
	_, at := ids(t, s, "")
	isReset(t, s, at[:17]+"99999999999999-0")
}

// A broken connection is no other life: the reader goes on where it was.
func TestBrokenConnectionsGoOn(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	add(t, s, "a")
	_, at := ids(t, s, "")
	server.CLI("client", "kill", "type", "normal")
	add(t, s, "b")
	server.CLI("client", "kill", "type", "normal")
	if found, _ := ids(t, s, at); !slices.Equal(found, []string{"b"}) {
		t.Errorf("behind the position: %q", found)
	}
}

// Where INFO is forbidden the server's run is hidden, and the rest goes on.
func TestLogWithoutInfo(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	server.CLI("acl", "setuser", "gateway", "on", ">pass word", "~gatehouse:*", "+@all", "-info")
	s := open(t, redis.Config{URLs: []string{server.URL()}, Username: "gateway", Password: "pass word"})
	add(t, s, "a")
	found, at := ids(t, s, "")
	if !slices.Equal(found, []string{"a"}) {
		t.Errorf("the log holds %q", found)
	}
	server.CLI("flushall")
	isReset(t, s, at)
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}, Records: 20})
	for i := range 20 {
		appendTo(t, s, fmt.Sprint(i), 1500*time.Millisecond)
	}
	err := s.Append(t.Context(), log, "one more", nil, time.Now().Add(time.Minute))
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("one more: %v; want ErrFull", err)
	}
	if found, _ := ids(t, s, ""); len(found) != 20 {
		t.Errorf("the log holds %q", found)
	}
	<-time.After(1600 * time.Millisecond)
	add(t, s, "one more")
	if found, _ := ids(t, s, ""); !slices.Equal(found, []string{"one more"}) {
		t.Errorf("the log holds %q", found)
	}
	for _, command := range [][]string{{"xlen", "gatehouse:{l:testlog}:stream"}, {"zcard", "gatehouse:{l:testlog}:ends"}, {"hlen", "gatehouse:{l:testlog}:ids"}} {
		if n := server.CLI(command...); n != "1\n" && n != "5\n" {
			t.Errorf("%s: %s", command, n)
		}
	}
}

// A reader clears away what has ended where nobody appends any more.
func TestReadersSweep(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	for i := range 50 {
		appendTo(t, s, fmt.Sprint(i), time.Second)
	}
	<-time.After(1100 * time.Millisecond)
	ids(t, s, "")
	if server.CLI("xlen", "gatehouse:{l:testlog}:stream") != "50\n" {
		t.Error("what has ended is gone before its grace is over")
	}
	s = open(t, redis.Config{URLs: []string{server.URL()}}) // one that has not swept lately
	// As if its grace were over, too.
	server.CLI("eval", "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 1, id) end",
		"1", "gatehouse:{l:testlog}:ends")
	if found, _ := ids(t, s, ""); len(found) != 0 {
		t.Errorf("ended records came: %q", found)
	}
	if n := server.CLI("xlen", "gatehouse:{l:testlog}:stream"); n != "0\n" {
		t.Errorf("%s entries are left", n)
	}
}

// Those who wait hold up nobody, and all of them wake because they are told: by
// themselves they would not look again within the time that the test has.
func TestManyWaitAtOnce(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	const nodes = 12
	var stores [nodes]*redis.Store
	type woken struct {
		id  string
		err error
	}
	wakes := make(chan woken, nodes)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range stores {
		stores[i] = open(t, redis.Config{URLs: []string{server.URL()}})
		stores[i].WaitFor(2 * time.Minute)
		_, at := ids(t, stores[i], "")
		go func() {
			records, _, err := stores[i].Read(ctx, log, at, 10, time.Hour)
			w := woken{err: err}
			if len(records) == 1 {
				w.id = records[0].ID
			}
			wakes <- w
		}()
	}
	for !blocked(server, nodes) {
		<-time.After(10 * time.Millisecond)
	}
	for i := range 100 {
		if fresh, err := stores[0].Mark(ctx, purpose, fmt.Sprint(i), time.Now().Add(time.Minute)); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	add(t, stores[0], "wake")
	for range nodes {
		w := <-wakes
		if w.id != "wake" || w.err != nil {
			t.Errorf("woke with %q, %v", w.id, w.err)
		}
	}
}
