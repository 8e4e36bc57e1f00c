package revocation

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// zeroTime stands for the present, where the clock is asked only if it is needed.
var zeroTime time.Time

// A Verifier says whether a token is good; see introspection.Gate.
type Verifier interface {
	// Verify returns the token and its issuer, or an error that wraps a token.Reason or
	// the context's error.
	Verify(ctx context.Context, raw token.Raw) (*token.Token, *token.Issuer, error)
}

// Bound is what to do about a list that may lack the latest events.
type Bound struct {
	// MaxStaleness is how long ago the log may have been read last.
	MaxStaleness time.Duration
	// Open lets tokens pass beyond that, by what the list says, but never before the
	// list was read once. Default: nobody passes until the log can be read again.
	Open bool
}

// A Guard refuses tokens that are good but for the list. It is immutable and safe
// for concurrent use.
type Guard struct {
	verifier Verifier
	state    *State
	bound    Bound
}

// NewGuard puts the list behind a verifier.
func NewGuard(verifier Verifier, state *State, bound Bound) *Guard {
	return &Guard{verifier: verifier, state: state, bound: bound}
}

// Verify implements Verifier. Errors are those of the verifier behind it, and those
// of Check.
func (g *Guard) Verify(ctx context.Context, raw token.Raw) (*token.Token, *token.Issuer, error) {
	held, issuer, err := g.verifier.Verify(ctx, raw)
	if err != nil {
		return nil, nil, err
	}
	if err := g.Check(held); err != nil {
		return nil, nil, err
	}
	return held, issuer, nil
}

// Check asks the list about a token. The error wraps token.Revoked, or
// token.RevocationsUnknown where the list may lack something. It is on the way of
// every request: it takes no lock and no memory where the token is good.
func (g *Guard) Check(held *token.Token) error {
	// First how much the list knows, and then the list: what it learned in between
	// counts, and what it did not know yet is not taken for known.
	unknown := g.unknown()
	if err := g.state.Revoked(held); err != nil {
		return err
	}
	return unknown
}

func (g *Guard) unknown() error {
	switch {
	case !g.state.loaded.Load():
		return fmt.Errorf("%w: the list has not been read yet", token.RevocationsUnknown)
	case !g.bound.Open && g.state.age() > g.bound.MaxStaleness:
		return fmt.Errorf("%w: the log was last read too long ago", token.RevocationsUnknown)
	}
	return nil
}
