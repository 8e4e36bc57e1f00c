package sts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Verifier says whether a token is good; see introspection.Gate and
// token.Verifier, which are ones.
type Verifier interface {
	// Verify returns the token and its issuer, or an error that wraps a token.Reason
	// or the context's error.
	Verify(ctx context.Context, raw token.Raw) (*token.Token, *token.Issuer, error)
}

// A Revoker makes tokens of the service no longer good before their time, on every
// node: Config.Own and Client.Subjects refuse them from then on.
type Revoker interface {
	// Revoke says so of the token with that jti, which ends then. Errors are those of
	// a store; see store.Log.
	Revoke(ctx context.Context, id string, expiry time.Time) error
}

// A Minter signs tokens in the gateway's own name; see signing.Minter, which is one.
type Minter interface {
	// Mint makes a token. Errors are those of signing.Minter.Mint.
	Mint(purpose signing.Purpose, claims *signing.Claims) (*signing.Minted, error)
}

// A Naming says what the subject of a verified token is called in a token of the
// gateway's own for that audience; see exchange.Subjects.
type Naming func(subject *token.Token, audience string) (string, signing.SubjectID)

// Config shapes a Service.
type Config struct {
	// Issuer is the issuer of the tokens, and the identifier of the service. Required.
	Issuer string
	// TokenEndpoint is the URL of the token endpoint, as clients call it: what DPoP
	// proofs are for. Required.
	TokenEndpoint string
	// Clients are those who may ask. What nobody names nobody has.
	Clients []*Client
	// Minter signs tokens. Required.
	Minter Minter
	// Keys sign introspection answers. Required.
	Keys signing.Keys
	// Own verifies the tokens of the gateway's own, and refuses those that were revoked.
	// Required.
	Own Verifier
	// Revoker revokes them. Required.
	Revoker Revoker
	// Naming names subjects. Default: as their issuer does.
	Naming Naming
	// Origin is what a token says that it was derived from: a subject token and that of
	// an actor, nil without one; see signing.Claims. Default: nothing.
	Origin func(subject, actor *token.Token) []byte
	// Marks remember client assertions. Required.
	Marks store.Marks
	// Values keep what references stand for. Required.
	Values store.Values
	// DPoP checks proofs. Required.
	DPoP *proof.DPoP
	// Crowd bounds how many secrets are hashed at once. Required.
	Crowd *Crowd
	// Holdings bound how many references one client has. Default: some of this
	// service's own.
	Holdings *Holdings
	// Revoked bound how many tokens one client has revoked that would still be good,
	// and all clients together. Default: some of this service's own, see
	// NewRevocations.
	Revoked *Holdings
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A Service decides on requests. It is safe for concurrent use.
type Service struct {
	config  Config
	clients map[string]*Client
	decoy   *SecretHash // nil if no client has a secret
}

// New makes a service. It fails if something that is required is missing, or two
// clients have one identifier.
func New(config Config) (*Service, error) {
	switch {
	case config.Issuer == "" || config.TokenEndpoint == "":
		return nil, errors.New("a token service needs an issuer and the URL of its token endpoint")
	case config.Minter == nil || config.Keys == nil || config.Own == nil:
		return nil, errors.New("a token service needs keys")
	case config.Revoker == nil:
		return nil, errors.New("a token service needs somebody who revokes tokens")
	case config.Marks == nil || config.Values == nil || config.DPoP == nil || config.Crowd == nil:
		return nil, errors.New("a token service needs a store")
	}
	made := &Service{config: config.withDefaults(), clients: make(map[string]*Client, len(config.Clients))}
	for _, client := range config.Clients {
		if err := client.check(); err != nil {
			return nil, err
		}
		if made.clients[client.ID] != nil {
			return nil, fmt.Errorf("two clients are called %s", client.ID)
		}
		made.clients[client.ID] = client
	}
	made.decoy = made.dearest()
	return made, nil
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Holdings == nil {
		c.Holdings = NewHoldings(0, 0)
	}
	if c.Revoked == nil {
		c.Revoked = NewRevocations()
	}
	if c.Naming == nil {
		c.Naming = func(subject *token.Token, _ string) (string, signing.SubjectID) {
			return subject.Subject, signing.SubjectID{}
		}
	}
	return c
}

// dearest makes the decoy of the hash that costs most, so that no client that does
// not exist is answered faster than one that does.
func (s *Service) dearest() *SecretHash {
	var dearest *SecretHash
	for _, id := range slices.Sorted(maps.Keys(s.clients)) {
		if hash := s.clients[id].Auth.Secret; hash != nil && (dearest == nil || hash.cost() > dearest.cost()) {
			dearest = hash
		}
	}
	if dearest == nil {
		return nil
	}
	return dearest.decoy()
}

func (h *SecretHash) cost() uint64 { return uint64(h.memory) * uint64(h.passes) }
