package redis

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Sizes of the two pools of connections of each server.
const (
	// callers are for requests: one call is a fraction of a millisecond.
	callers = 64
	// waiters are for those who wait for records, so that they hold up no request.
	waiters = 16
)

// quiet turns off the library's own log, which is one for the whole process and writes
// to standard error. What it would say comes back as an error as well.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) })

type silence struct{}

// Printf drops what the library says.
func (silence) Printf(context.Context, string, ...any) {}

// options are what both pools have in common.
func (c *Config) options(addresses []Address) *redis.UniversalOptions {
	port := defaultPort
	if c.Sentinel != "" {
		port = defaultSentinelPort
	}
	o := &redis.UniversalOptions{
		MasterName: c.Sentinel, Username: c.Username, Password: c.Password, DB: addresses[0].Database,
		Protocol: 2, DisableIdentity: true, //nolint:mnd // what every release speaks
		DialTimeout: c.Timeout, DialerRetries: 1,
		ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout, ContextTimeoutEnabled: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	for _, address := range addresses {
		o.Addrs = append(o.Addrs, address.hostPort(port))
	}
	if c.TLS || addresses[0].TLS {
		o.TLSConfig = &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12}
	}
	return o
}

// callClient makes the pool for requests. Every call may be made twice: see Mark for
// the only one where that needs thought. A connection that a restart of the server has
// broken costs a second try and not an error.
func (c *Config) callClient(addresses []Address) redis.UniversalClient {
	o := c.options(addresses)
	o.PoolSize, o.MaxRetries = callers, 1
	o.MinRetryBackoff, o.MaxRetryBackoff = time.Millisecond, 8*time.Millisecond //nolint:mnd // well within any limit
	return redis.NewUniversalClient(o)
}

// waitClient makes the pool for those who wait. It tries nothing twice: a connection
// that broke may mean another life of the log, which is looked at first.
func (c *Config) waitClient(addresses []Address) redis.UniversalClient {
	o := c.options(addresses)
	o.PoolSize, o.MaxRetries = waiters, -1
	return redis.NewUniversalClient(o)
}
