package redis

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// Defaults and bounds of a store.
const (
	// DefaultPrefix is what every name begins with.
	DefaultPrefix = "gatehouse:"
	// DefaultTimeout is how long one call may take. A request waits for it.
	DefaultTimeout = 200 * time.Millisecond
	// MaxTimeout is the longest limit that is accepted: whoever waits longer holds
	// requests for an answer that no longer helps.
	MaxTimeout = 10 * time.Second
	// DefaultRecords is how many records one log may have at a time.
	DefaultRecords = 1 << 20
	// minSecret is the length of a secret that nobody can guess, in bytes.
	minSecret = 32
	// maxSecrets is the old one and the new one.
	maxSecrets = 2
)

// Config is what a store is made of.
type Config struct {
	// URLs are where the servers are: one server, several nodes of a Cluster, or the
	// Sentinels where Sentinel is set. See ParseAddress.
	URLs []string
	// Username and Password are shown to the servers, and not to Sentinels.
	Username, Password string
	// Sentinel is the name by which Sentinels know the master.
	Sentinel string
	// TLS speaks TLS with servers whose URL says redis.
	TLS bool
	// Roots are who may sign the servers' certificates. Default: the system's.
	Roots *x509.CertPool
	// Prefix is what every name begins with. Default: DefaultPrefix.
	Prefix string
	// Timeout limits every call, and what one that waits for records takes besides.
	// Default: DefaultTimeout.
	Timeout time.Duration
	// Seals are the secrets, one or two, each of 32 bytes or more. The first seals.
	Seals []string
	// Records is how many records one log may have. Default: DefaultRecords.
	Records int
	// Log is told what operators should know. Default: nobody is.
	Log *slog.Logger
	// Unreadable is called for each value and record that does not open, if it is set.
	// It is called on the path of requests.
	Unreadable func(Unreadable)
}

// An Unreadable is something in Redis that no secret opens: it was sealed with another
// one, or somebody else has written it.
type Unreadable struct {
	Purpose store.Purpose
	// Record is true for the record of a log: what it says is not known here. A value
	// counts as one that is not there.
	Record bool
}

// prefixForm leaves out what would part names, or mean something to a Cluster.
var prefixForm = regexp.MustCompile(`^[A-Za-z0-9._:/-]{1,64}$`)

// CheckPrefix accepts what names may begin with.
func CheckPrefix(text string) error {
	if !prefixForm.MatchString(text) {
		return errors.New("a prefix has 1 to 64 of the characters A-Z, a-z, 0-9 and . _ : / -")
	}
	return nil
}

// CheckTimeout accepts a limit for calls.
func CheckTimeout(limit time.Duration) error {
	if limit < time.Millisecond || limit > MaxTimeout {
		return fmt.Errorf("%s is not between 1ms and %s", limit, MaxTimeout)
	}
	return nil
}

// complete fills in defaults and refuses what cannot work.
func (c *Config) complete() error {
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Records <= 0 {
		c.Records = DefaultRecords
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := CheckPrefix(c.Prefix); err != nil {
		return err
	}
	if err := CheckTimeout(c.Timeout); err != nil {
		return fmt.Errorf("timeout: %w", err)
	}
	if len(c.Seals) == 0 || len(c.Seals) > maxSecrets {
		return fmt.Errorf("%d secrets to seal with: one is needed, or two while they rotate", len(c.Seals))
	}
	for _, secret := range c.Seals {
		if len(secret) < minSecret {
			return fmt.Errorf("a secret to seal with has %d bytes, and at least %d are needed", len(secret), minSecret)
		}
	}
	return nil
}
