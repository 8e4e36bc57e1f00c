package redis_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/redis"
	"github.com/caddy-gatehouse/gatehouse/store/storetest"
)

const (
	purpose = store.Purpose("test")
	secret  = "a secret of the old days, 32 bytes long"
	newer   = "another secret, of the days to come, also long"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a store that ends with the test. The limit is generous, since the machine
// may be busy: tests of the limit set their own.
func open(tb testing.TB, config redis.Config) *redis.Store {
	tb.Helper()
	if config.Seals == nil {
		config.Seals = []string{secret}
	}
	if config.Timeout == 0 {
		config.Timeout = 5 * time.Second
	}
	s, err := redis.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	for range 2 { // the second time nothing happens
		if err := s.Open(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	}
	return s
}

var laws atomic.Int64

// apart makes a store of its own for each law, on one server.
func apart(t *testing.T, config redis.Config) *redis.Store {
	t.Helper()
	config.Prefix = fmt.Sprintf("law%d:", laws.Add(1))
	return open(t, config)
}

// obeys holds a store to the whole contract.
func obeys(t *testing.T, config redis.Config) {
	t.Helper()
	for _, law := range storetest.MarksLaws() {
		t.Run(law.Name, func(t *testing.T) { t.Parallel(); law.Run(t, apart(t, config)) })
	}
	for _, law := range storetest.ValuesLaws() {
		t.Run(law.Name, func(t *testing.T) { t.Parallel(); law.Run(t, apart(t, config)) })
	}
	for _, law := range storetest.RatesLaws() {
		t.Run(law.Name, func(t *testing.T) { t.Parallel(); law.Run(t, apart(t, config)) })
	}
	for _, law := range storetest.LogLaws() {
		t.Run(law.Name, func(t *testing.T) { t.Parallel(); law.Run(t, apart(t, config)) })
	}
}

func TestOneServerKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	obeys(t, redis.Config{URLs: []string{server.URL()}})
}

func TestTwoSecretsKeepTheContract(t *testing.T) {
	t.Parallel()
	server := storetest.StartRedis(t, storetest.RedisOptions{})
	obeys(t, redis.Config{URLs: []string{server.URL()}, Seals: []string{newer, secret}})
}

func TestClusterKeepsTheContract(t *testing.T) {
	t.Parallel()
	var urls []string
	for _, node := range storetest.StartRedisCluster(t) {
		urls = append(urls, node.URL())
		node.CLI(gateway(commands + " " + clusterCommands)...)
	}
	obeys(t, redis.Config{URLs: urls, Seals: []string{newer, secret}, Username: "gateway", Password: "of the gateway"})
}
