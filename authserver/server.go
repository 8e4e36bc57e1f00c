package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

const (
	// metadataLife is how long metadata is believed. Endpoints move rarely, and
	// a failing call to one asks again at once.
	metadataLife = time.Hour
	// maxKeySetBytes bounds a key set.
	maxKeySetBytes = 256 << 10
)

// ErrNoEndpoint says that the server's metadata lacks an endpoint.
var ErrNoEndpoint = errors.New("the server's metadata names no such endpoint")

// ServerOptions shape a Server.
type ServerOptions struct {
	// Issuer is the server's issuer identifier (RFC 8414, section 2).
	Issuer string
	// JWKS is the address of its key set. Default: found by discovery.
	JWKS string
	// TrustCA are PEM bundles; see httpx.Options.
	TrustCA [][]byte
	// Timeout bounds one call. Default: 5s.
	Timeout time.Duration
}

// A Server is one authorization server. It is safe for concurrent use. It
// fetches only when asked, and what it learns is kept for an hour.
type Server struct {
	options ServerOptions
	http    *httpx.Client
	flights singleflight.Group

	mu       sync.Mutex
	metadata *Metadata
	learned  time.Time
}

// NewServer makes a server. Nothing is fetched.
func NewServer(options ServerOptions) (*Server, error) {
	client, err := httpx.New(httpx.Options{TrustCA: options.TrustCA, Timeout: options.Timeout})
	if err != nil {
		return nil, fmt.Errorf("issuer %s: trust_ca: %w", options.Issuer, err)
	}
	return &Server{options: options, http: client}, nil
}

// Issuer is the server's issuer identifier.
func (s *Server) Issuer() string { return s.options.Issuer }

// Close ends idle connections.
func (s *Server) Close() { s.http.Close() }

// Metadata returns the server's metadata, fetched at most once an hour. The
// fetch is shared: it runs under its own deadline, and a caller that leaves does
// not end it for the others.
func (s *Server) Metadata(ctx context.Context) (*Metadata, error) {
	if metadata := s.known(); metadata != nil {
		return metadata, nil
	}
	flight := s.flights.DoChan("metadata", func() (any, error) {
		metadata, err := discover(context.WithoutCancel(ctx), s.http, s.options.Issuer)
		if err != nil {
			return nil, err
		}
		s.learn(metadata)
		return metadata, nil
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case result := <-flight:
		if result.Err != nil {
			return nil, fmt.Errorf("discovering %s: %w", s.options.Issuer, result.Err)
		}
		metadata, _ := result.Val.(*Metadata)
		return metadata, nil
	}
}

func (s *Server) known() *Metadata {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.metadata == nil || time.Since(s.learned) > metadataLife {
		return nil
	}
	return s.metadata
}

func (s *Server) learn(metadata *Metadata) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metadata, s.learned = metadata, time.Now()
}

// Forget drops the metadata, so that the next call discovers again.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metadata = nil
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
	set, life, err := s.fetchKeySet(ctx)
	if err != nil {
		s.Forget()
		return jose.KeySet{}, 0, fmt.Errorf("fetching keys of %s: %w", s.options.Issuer, err)
	}
	return set, life, nil
}

func (s *Server) fetchKeySet(ctx context.Context) (jose.KeySet, time.Duration, error) {
	place, err := s.keySetURL(ctx)
	if err != nil {
		return jose.KeySet{}, 0, err
	}
	answer, err := s.http.Get(ctx, place, "application/jwk-set+json, application/json", maxKeySetBytes)
	if err != nil {
		return jose.KeySet{}, 0, err
	}
	if answer.Status != http.StatusOK {
		return jose.KeySet{}, 0, fmt.Errorf("%s answered %d", place, answer.Status)
	}
	set, err := jose.ParseKeySet(answer.Body)
	if err != nil {
		return jose.KeySet{}, 0, fmt.Errorf("%s: %w", place, err)
	}
	return set, maxAge(answer.Header), nil
}

func (s *Server) keySetURL(ctx context.Context) (string, error) {
	if s.options.JWKS != "" {
		return s.options.JWKS, nil
	}
	metadata, err := s.Metadata(ctx)
	if err != nil {
		return "", err
	}
	if metadata.JWKSURI == "" {
		return "", fmt.Errorf("jwks_uri: %w", ErrNoEndpoint)
	}
	return metadata.JWKSURI, nil
}
