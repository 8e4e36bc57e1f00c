package config

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/store/redis"
)

func init() { caddy.RegisterModule((*StoreRedis)(nil)) }

// StoreRedis is the store `redis`: of all nodes with the same servers, prefix and seal.
// It needs Redis 7 or later. Everything in it is sealed with `seal`, which is required.
type StoreRedis struct {
	// Where the servers are, as `redis://host:port`, or `rediss://` for TLS: one
	// server, several nodes of a Cluster, or Sentinels where `sentinel` is set. A
	// number behind a slash is the database, which a Cluster does not have. The port is
	// 6379 by default, and 26379 for Sentinels. Credentials do not belong here.
	URLs []string `json:"urls,omitempty"`

	// The user's name at the servers. Default: the default user.
	Username string `json:"username,omitempty"`

	// The user's password. Sentinels are not shown it. Default: none.
	Password Secret `json:"password,omitempty"`

	// The name by which the Sentinels know the master. Default: the URLs are servers.
	Sentinel string `json:"sentinel,omitempty"`

	// TLS also where the URLs say `redis://`, and who may sign the servers'
	// certificates. Default: TLS where the URLs say so, with the system's authorities.
	TLS *RedisTLS `json:"tls,omitempty"`

	// What the names in Redis begin with. Default: `gatehouse:`.
	Prefix string `json:"prefix,omitempty"`

	// How long one call may take, from 1ms to 10s. A request waits for it. Default:
	// 200ms.
	Timeout Duration `json:"timeout,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`

	roots *x509.CertPool
	sum   string // of the authorities
}

// RedisTLS says whose certificates the servers may show.
type RedisTLS struct {
	// The PEM file with the authorities that the servers' certificates may come from;
	// then only these. It is read when the configuration is loaded. Default: those of
	// the system.
	CA string `json:"ca,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*StoreRedis) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: storesNamespace + storeRedis, New: func() caddy.Module { return new(StoreRedis) }}
}

// UnmarshalCaddyfile reads the rest of the line and the block. Syntax:
//
//	redis <url...> {
//		username <name>
//		password <value>
//		sentinel <master>
//		tls      [<ca file>]
//		prefix   <text>
//		timeout  <duration>
//	}
func (s *StoreRedis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	s.Place = place(d)
	s.URLs = d.RemainingArgs()
	return readBlock(d, "store redis", s)
}

// Provision implements caddy.Provisioner.
func (s *StoreRedis) Provision(ctx caddy.Context) error {
	label := at("store redis", s.Place)
	if err := expandBlock(caddy.NewReplacer(), label, s); err != nil {
		return err
	}
	if err := checkBlock(label, s); err != nil {
		return err
	}
	if err := s.readCA(); err != nil {
		return fmt.Errorf("%s: tls: %w", label, err)
	}
	if s.open() {
		ctx.Slogger().Warn("the connection to Redis is not encrypted: what is stored is sealed, and the password is not; "+
			"write rediss://", "store", label)
	}
	return nil
}

// Shape implements StoreModule.
func (s *StoreRedis) Shape() []string {
	return slices.Concat([]string{
		storeRedis, s.Username, s.Password.Reveal(), s.Sentinel, strconv.FormatBool(s.TLS != nil), s.sum, s.Prefix, string(s.Timeout),
	}, s.URLs)
}

// NewStore implements StoreModule.
func (s *StoreRedis) NewStore(setup StoreSetup) (store.Store, error) {
	config := redis.Config{
		URLs: s.URLs, Username: s.Username, Password: s.Password.Reveal(), Sentinel: s.Sentinel,
		TLS: s.TLS != nil, Roots: s.roots, Prefix: s.Prefix, Timeout: s.Timeout.Or(redis.DefaultTimeout),
		Seals: setup.Seals, Log: setup.Log,
	}
	if setup.Unreadable != nil {
		config.Unreadable = func(what redis.Unreadable) { setup.Unreadable(what.Purpose, what.Record) }
	}
	made, err := redis.New(config)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at("store redis", s.Place), err)
	}
	return made, nil
}

// readCA reads the file of authorities.
func (s *StoreRedis) readCA() error {
	if s.TLS == nil || s.TLS.CA == "" {
		return nil
	}
	text, err := os.ReadFile(s.TLS.CA)
	if err != nil {
		return err
	}
	s.roots = x509.NewCertPool()
	if !s.roots.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate in PEM", s.TLS.CA)
	}
	s.sum = fmt.Sprintf("%x", sha256.Sum256(text))
	return nil
}

// open tells whether a connection leaves this machine without TLS.
func (s *StoreRedis) open() bool {
	return s.TLS == nil && slices.ContainsFunc(s.URLs, func(text string) bool {
		address, err := redis.ParseAddress(text)
		return err == nil && !address.TLS && !isLoopback(address.Host)
	})
}

func (s *StoreRedis) options() []option {
	return []option{
		{word: "username", read: readOne(&s.Username)},
		{word: "password", read: readOne(&s.Password)},
		{word: "sentinel", read: readOne(&s.Sentinel)},
		{word: "tls", read: s.readTLS},
		{word: "prefix", read: readOne(&s.Prefix)},
		{word: "timeout", read: readOne(&s.Timeout)},
	}
}

func (s *StoreRedis) settings() []setting {
	all := slices.Concat(
		list("url", s.URLs, checkRedisURL),
		one("username", &s.Username, checkText),
		one("sentinel", &s.Sentinel, checkText),
		one("prefix", &s.Prefix, redis.CheckPrefix),
		one("timeout", (*string)(&s.Timeout), checkRedisTimeout),
	)
	if s.Password != "" {
		all = append(all, setting{word: "password", text: (*string)(&s.Password), check: checkText, secret: true})
	}
	if s.TLS != nil {
		all = append(all, one("tls", &s.TLS.CA, checkText)...)
	}
	return all
}

func (s *StoreRedis) contradiction() error { return nil }

func (s *StoreRedis) missing() error {
	if s.Username != "" && s.Password == "" {
		return errors.New("username has no password: write password <value>")
	}
	if slices.ContainsFunc(s.URLs, holdsPlaceholder) {
		return nil // asked again once it has its value
	}
	return redis.CheckURLs(s.URLs, s.Sentinel != "")
}

func (s *StoreRedis) readTLS(d *caddyfile.Dispenser) error {
	s.TLS = new(RedisTLS)
	if !d.NextArg() {
		return nil
	}
	if s.TLS.CA = d.Val(); s.TLS.CA == "" {
		return errEmpty
	}
	return nil
}

// checkRedisURL accepts the address of a server. It is not quoted: somebody may have
// written a password into it.
func checkRedisURL(text string) error {
	_, err := redis.ParseAddress(text)
	return err
}

func checkRedisTimeout(text string) error {
	limit, err := parseDuration(text)
	if err != nil {
		return err
	}
	return redis.CheckTimeout(limit)
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*StoreRedis)(nil)
	_ caddyfile.Unmarshaler = (*StoreRedis)(nil)
	_ StoreModule           = (*StoreRedis)(nil)
)
