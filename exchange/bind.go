package exchange

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/proof"
)

// A Binding says which key of the gateway's the upstream's token is bound to, so
// that whoever steals it cannot use it. The zero value binds nothing.
type Binding struct {
	// Prover has the key of DPoP (RFC 9449). The token request carries its proof, and
	// each request to the upstream needs one.
	Prover *proof.Prover
}

// A BoundRequester is a Requester whose requests can prove a key; see
// authserver.Client, which is one.
type BoundRequester interface {
	Requester

	// TokenProved is Token with a proof.
	TokenProved(ctx context.Context, form url.Values, prover authserver.Prover) (*authserver.TokenResponse, error)
}

var errOtherKey = errors.New("access_token is bound to another key than the gateway's (cnf.jkt)")

func (b Binding) check(legs []Leg) error {
	if b.Prover == nil {
		return nil
	}
	if _, ok := legs[len(legs)-1].Client.(BoundRequester); !ok {
		return errors.New("the client cannot prove a key")
	}
	return nil
}

// bindLast lets nothing but a bound token come back from the last leg: a server
// that does not know the proof answers with a bearer token (RFC 9449, section 5).
func bindLast(c *Config) {
	last := &c.Leg
	if len(c.Then) > 0 {
		last = &c.Then[len(c.Then)-1]
	}
	last.Accept.TokenTypes = []string{"DPoP"}
}

// name tells tokens of one key from those of another. It is empty where nothing is
// bound.
func (b Binding) name() (string, error) {
	if b.Prover == nil {
		return "", nil
	}
	thumbprint, err := b.Prover.Thumbprint()
	return string(thumbprint[:]), err
}

// checkBinding reads in an issued JWT which key it is bound to. A token that shows
// no key may be bound all the same where token_type says so.
func (x *Exchanger) checkBinding(g *grant) error {
	if g.leg != x.last() || x.config.Bind.Prover == nil || g.claims.boundTo == "" {
		return nil
	}
	thumbprint, err := x.config.Bind.Prover.Thumbprint()
	if err == nil && g.claims.boundTo != base64.RawURLEncoding.EncodeToString(thumbprint[:]) {
		err = errOtherKey
	}
	return err
}

// A tokenProver makes the proofs of token requests.
type tokenProver struct{ prover *proof.Prover }

// Prove implements authserver.Prover.
func (p tokenProver) Prove(endpoint string) (string, error) {
	return p.prover.Prove(proof.Target{Method: http.MethodPost, URL: endpoint})
}

// Offered implements authserver.Prover.
func (p tokenProver) Offered(endpoint, nonce string) { p.prover.Offered(endpoint, nonce, false) }
