package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

func blocked(server *storetest.Redis, want int) bool {
	return strings.Contains(server.CLI("info", "clients"), fmt.Sprintf("blocked_clients:%d\r\n", want))
}

// each calls every method once.
func each(ctx context.Context, s *redis.Store) map[string]error {
	until := time.Now().Add(time.Minute)
	errs := make(map[string]error)
	var fresh, found bool
	if fresh, errs["Mark"] = s.Mark(ctx, purpose, "a", until); fresh {
		errs["Mark"] = errors.New("fresh")
	}
	errs["Put"] = s.Put(ctx, purpose, "a", nil, until)
	if _, found, errs["Get"] = s.Get(ctx, purpose, "a"); found {
		errs["Get"] = errors.New("found")
	}
	errs["Delete"] = s.Delete(ctx, purpose, "a")
	errs["Append"] = s.Append(ctx, log, "a", nil, until)
	_, _, errs["Read"] = s.Read(ctx, log, "", 10, time.Minute)
	errs["Probe"] = s.Probe(ctx)
	return errs
}

// A server that is gone, or that holds connections and says nothing, is an error within
// the limit. It is never an answer.
func TestServerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*storetest.Redis){
		"killed": (*storetest.Redis).Kill,
		"frozen": (*storetest.Redis).Freeze,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := storetest.StartRedis(t, storetest.RedisOptions{})
			s := open(t, redis.Config{URLs: []string{server.URL()}, Timeout: 200 * time.Millisecond})
			end(server)
			for method, err := range each(t.Context(), s) {
				if !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("%s: %v; want ErrUnavailable", method, err)
				}
			}
			began := time.Now()
			_, _ = s.Mark(t.Context(), purpose, "b", time.Now().Add(time.Minute))
			// Ten times the limit, for a machine that is busy.
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("an error took %s", took)
			}
			if name == "frozen" {
				server.Thaw()
			} else {
				server.Restart()
			}
			for !errors.Is(nil, s.Probe(t.Context())) {
				<-time.After(10 * time.Millisecond)
			}
		})
	}
}

// A reader that waits when the server dies is told at once, and not at the end of its
// wait.
func TestServerDiesUnderAReader(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	failed := make(chan error, 1)
	go func() {
		_, _, err := s.Read(context.Background(), log, "", 10, time.Hour)
		failed <- err
	}()
	for !blocked(server, 1) {
		<-time.After(10 * time.Millisecond)
	}
	server.Kill()
	if err := <-failed; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v; want ErrUnavailable", err)
	}
}

// Close ends the wait of a reader.
func TestCloseEndsTheWait(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	failed := make(chan error, 1)
	go func() {
		_, _, err := s.Read(context.Background(), log, "", 10, time.Hour)
		failed <- err
	}()
	for !blocked(server, 1) {
		<-time.After(10 * time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v; want ErrUnavailable", err)
	}
	for method, err := range each(t.Context(), s) {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s of a closed store: %v; want ErrUnavailable", method, err)
		}
	}
}

// A store opens while its server is away, and works once it is there.
func TestOpensWithoutAServer(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	server.Kill()
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	server.Restart()
	if fresh, err := s.Mark(t.Context(), purpose, "a", time.Now().Add(time.Minute)); !fresh || err != nil {
		t.Error(fresh, err)
	}
}

// What only an operator can mend is an error of Open, in words without a password.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	const password = "the-password-itself"
	server := storetest.StartRedis(t, storetest.RedisOptions{Password: password})
	secured := storetest.StartRedis(t, storetest.RedisOptions{TLS: true})
	foreign, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = foreign.Close() })
	go ancient(foreign)
	for name, tt := range map[string]struct {
		config redis.Config
		want   string
	}{
		"no password":    {redis.Config{URLs: []string{server.URL()}}, "it refuses the username or the password"},
		"wrong password": {redis.Config{URLs: []string{server.URL()}, Password: "canary-wrong"}, "it refuses the username or the password"},
		"unknown root":   {redis.Config{URLs: []string{secured.URL()}, Password: "canary"}, "x509: "},
		"ancient":        {redis.Config{URLs: []string{"redis://" + foreign.Addr().String()}, Password: "canary-ancient"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said strings.Builder
			tt.config.Seals, tt.config.Timeout = []string{secret}, 5*time.Second
			tt.config.Log = slog.New(slog.NewTextHandler(&said, nil))
			s, err := redis.New(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			err = s.Open(t.Context())
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v; want %q", err, tt.want)
			}
			for _, err := range each(t.Context(), s) {
				fmt.Fprintln(&said, err)
				if err == nil {
					t.Error("a call went well")
				}
				if strings.Contains(tt.want, "refuses") && (!errors.Is(err, store.ErrUnavailable) || strings.Contains(err.Error(), "cannot be reached")) {
					t.Errorf("Redis answered, and the error is %q", err)
				}
			}
			if text := fmt.Sprint(said.String(), err); strings.Contains(text, "canary") || strings.Contains(text, password) {
				t.Errorf("a password shows:\n%s", text)
			}
		})
	}
}

// ancient answers as a server does that knows nothing, and repeats what it was told.
func ancient(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			buffer := make([]byte, 4096)
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				said := strings.Join(strings.Fields(string(buffer[:n])), " ")
				if _, err := fmt.Fprintf(conn, "-ERR unknown command with args beginning with: %s\r\n", said); err != nil {
					return
				}
			}
		}()
	}
}

// A server without memory left is full, and drops nothing to make room.
func TestServerWithoutMemory(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	s := open(t, redis.Config{URLs: []string{server.URL()}})
	if fresh, err := s.Mark(t.Context(), purpose, "before", time.Now().Add(time.Minute)); !fresh || err != nil {
		t.Fatal(fresh, err)
	}
	if _, _, err := s.Read(t.Context(), "nothing yet", "", 1, 0); err != nil {
		t.Fatal(err)
	}
	add(t, s, "before")
	server.CLI("config", "set", "maxmemory", "1")
	if err := s.Append(t.Context(), "a log of its own", "a", nil, time.Now().Add(time.Minute)); !errors.Is(err, store.ErrFull) {
		t.Errorf("the first record of a log: %v; want ErrFull", err)
	}
	for method, err := range each(t.Context(), s) {
		switch method {
		case "Mark", "Put", "Append":
			if !errors.Is(err, store.ErrFull) {
				t.Errorf("%s: %v; want ErrFull", method, err)
			}
		default:
			if err != nil {
				t.Errorf("%s: %v", method, err)
			}
		}
	}
	server.CLI("config", "set", "maxmemory", "0")
	if fresh, err := s.Mark(t.Context(), purpose, "before", time.Now().Add(time.Minute)); fresh || err != nil {
		t.Error(fresh, err)
	}
}

func TestNewRefuses(t *testing.T) {
	good := []string{secret}
	for name, tt := range map[string]struct {
		config redis.Config
		want   string
	}{
		"no URL":        {redis.Config{Seals: good}, "the URL is missing"},
		"no URL at all": {redis.Config{Seals: good, URLs: []string{"redis://u:canary@%zz"}}, "it is no URL"},
		"scheme":        {redis.Config{Seals: good, URLs: []string{"http://localhost"}}, "it begins with neither"},
		"credentials":   {redis.Config{Seals: good, URLs: []string{"redis://u:canary@localhost"}}, "it holds a username or password"},
		"no host":       {redis.Config{Seals: good, URLs: []string{"redis://"}}, "it has no host"},
		"query":         {redis.Config{Seals: good, URLs: []string{"redis://localhost?password=canary"}}, "it has a query"},
		"database":      {redis.Config{Seals: good, URLs: []string{"redis://localhost/canary"}}, "is no number of a database"},
		"two schemes":   {redis.Config{Seals: good, URLs: []string{"redis://a", "rediss://b"}}, "redis:// and rediss:// together"},
		"cluster":       {redis.Config{Seals: good, URLs: []string{"redis://a/1", "redis://b/1"}}, "a Cluster has no other database than 0"},
		"no seal":       {redis.Config{URLs: []string{"redis://a"}}, "0 secrets to seal with"},
		"short seal":    {redis.Config{URLs: []string{"redis://a"}, Seals: []string{"canary"}}, "has 6 bytes"},
		"same seals":    {redis.Config{URLs: []string{"redis://a"}, Seals: []string{secret, secret}}, "both secrets are the same"},
		"prefix":        {redis.Config{URLs: []string{"redis://a"}, Seals: good, Prefix: "{x}"}, "a prefix has 1 to 64"},
		"timeout":       {redis.Config{URLs: []string{"redis://a"}, Seals: good, Timeout: time.Hour}, "timeout: 1h0m0s is not between"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := redis.New(tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v; want %q", err, tt.want)
			}
		})
	}
}
