package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

const (
	// metadataLife is how long metadata is believed. Endpoints move rarely, and
	// a failing call to one asks again at once.
	metadataLife = time.Hour
	// maxKeySetBytes bounds a key set.
	maxKeySetBytes = 256 << 10
	acceptKeySet   = "application/jwk-set+json, application/json"
)

// ErrNoEndpoint says that the server's metadata lacks an endpoint.
var ErrNoEndpoint = errors.New("the server's metadata names no such endpoint")

var errNoKeySet = fmt.Errorf("jwks_uri: %w", ErrNoEndpoint)

// ServerOptions shape a Server.
type ServerOptions struct {
	// Issuer is the server's issuer identifier (RFC 8414, section 2).
	Issuer string
	// JWKS is the address of its key set. Default: found by discovery.
	JWKS string
	// Fallback are URLs where the same issuer runs too, in the order in which they
	// are asked when it does not answer. Their metadata must name Issuer.
	Fallback []string
	// Transmitter tells that the metadata is that of a transmitter of OpenID Shared
	// Signals. Default: that of an authorization server.
	Transmitter bool
	// TrustCA are PEM bundles; see httpx.Options.
	TrustCA [][]byte
	// Timeout bounds one call. Default: 5s.
	Timeout time.Duration
	// Observe is told, where there is a fallback, when the server at a URL begins to
	// fail, and with nil when it answers again. It must return at once and not call
	// the server. Default: nobody is told.
	Observe func(url string, err error)
}

// A Server is one authorization server, which may run at several places. It is
// safe for concurrent use. It fetches only when asked, and what it learns is kept
// for an hour. Where there is a fallback, places that failed are looked at in the
// background until they answer or the server is closed.
type Server struct {
	options  ServerOptions
	http     *httpx.Client
	replicas []*replica // the issuer's own URL first
}

// NewServer makes a server. Nothing is fetched.
func NewServer(options ServerOptions) (*Server, error) {
	client, err := httpx.New(httpx.Options{TrustCA: options.TrustCA, Timeout: options.Timeout})
	if err != nil {
		return nil, fmt.Errorf("issuer %s: trust_ca: %w", options.Issuer, err)
	}
	if options.Observe == nil {
		options.Observe = func(string, error) {}
	}
	server := &Server{options: options, http: client}
	for _, base := range append([]string{options.Issuer}, options.Fallback...) {
		server.replicas = append(server.replicas, &replica{base: base, server: server})
	}
	return server, nil
}

// Issuer is the server's issuer identifier.
func (s *Server) Issuer() string { return s.options.Issuer }

// Close ends idle connections and the looks at what failed.
func (s *Server) Close() {
	for _, replica := range s.replicas {
		replica.close()
	}
	s.http.Close()
}

// order lists the replicas as they are asked: those that answered last time, then
// the others, since being asked in vain is all that can happen.
func (s *Server) order() []*replica {
	if len(s.replicas) == 1 {
		return s.replicas
	}
	asked, last := make([]*replica, 0, len(s.replicas)), []*replica(nil)
	for _, replica := range s.replicas {
		if replica.isDown() {
			last = append(last, replica)
		} else {
			asked = append(asked, replica)
		}
	}
	return append(asked, last...)
}

// ask asks the replicas in order until one does what is asked.
func (s *Server) ask(ctx context.Context, do func(*replica) error) error {
	var failures []error
	for _, replica := range s.order() {
		err := do(replica)
		if err == nil {
			return nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil {
			// Who asked has no time left. That is not the replica's fault.
			break
		}
		replica.failed(err)
	}
	return errors.Join(failures...)
}

// Metadata returns the server's metadata, fetched at most once an hour. The fetch
// is shared: it runs under its own deadline, and a caller that leaves does not end
// it for the others.
func (s *Server) Metadata(ctx context.Context) (*Metadata, error) {
	var metadata *Metadata
	err := s.ask(ctx, func(replica *replica) (err error) {
		metadata, err = replica.learn(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("discovering %s: %w", s.options.Issuer, err)
	}
	return metadata, nil
}

// TokenEndpoint returns the address of the token endpoint.
func (s *Server) TokenEndpoint(ctx context.Context) (string, error) {
	metadata, err := s.Metadata(ctx)
	if err != nil {
		return "", err
	}
	if metadata.TokenEndpoint == "" {
		return "", fmt.Errorf("%s: token_endpoint: %w", s.options.Issuer, ErrNoEndpoint)
	}
	return metadata.TokenEndpoint, nil
}

// KeySet fetches the server's key set and tells how long the server lets it be
// kept, 0 if it does not say. A failure makes the next call discover again: the
// key set may have moved.
func (s *Server) KeySet(ctx context.Context) (jose.KeySet, time.Duration, error) {
	var (
		set  jose.KeySet
		life time.Duration
	)
	err := s.ask(ctx, func(replica *replica) (err error) {
		if set, life, err = replica.keySet(ctx); err != nil {
			replica.forget()
			return err
		}
		replica.answered()
		return nil
	})
	if err != nil {
		return jose.KeySet{}, 0, fmt.Errorf("fetching keys of %s: %w", s.options.Issuer, err)
	}
	return set, life, nil
}

func (r *replica) keySet(ctx context.Context) (jose.KeySet, time.Duration, error) {
	place, err := r.keySetURL(ctx)
	if err != nil {
		return jose.KeySet{}, 0, err
	}
	answer, err := r.server.http.Get(ctx, place, acceptKeySet, maxKeySetBytes)
	if err != nil {
		return jose.KeySet{}, 0, err
	}
	if answer.Status != http.StatusOK {
		return jose.KeySet{}, 0, noDocument{fmt.Errorf("%s answered %d", place, answer.Status)}
	}
	set, err := jose.ParseKeySet(answer.Body)
	if err != nil {
		return jose.KeySet{}, 0, fmt.Errorf("%s: %w", place, err)
	}
	return set, lifetime(answer.Header, time.Now()), nil
}
