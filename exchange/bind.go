package exchange

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Binding says which key of the gateway's the upstream's token is bound to, so
// that whoever steals it cannot use it. It has one of its fields, or none and binds
// nothing.
type Binding struct {
	// Prover has the key of DPoP (RFC 9449). The token request carries its proof, and
	// each request to the upstream needs one.
	Prover *proof.Prover
	// Certificate is what the client of the last leg shows when it asks, and what the
	// connection to the upstream must show (RFC 8705, section 3). The token is a
	// bearer token by its type.
	Certificate Certificate
}

// A Certificate is a client certificate; see authserver.Certificate, which is one.
type Certificate interface {
	// Thumbprint is its x5t#S256, which may be another one the next time.
	Thumbprint() string
}

// A BoundRequester is a Requester whose requests can prove a key; see
// authserver.Client, which is one.
type BoundRequester interface {
	Requester

	// TokenProved is Token with a proof.
	TokenProved(ctx context.Context, form url.Values, prover authserver.Prover) (*authserver.TokenResponse, error)
}

// What is wrong with a token that should be bound, for the operator.
var (
	errOtherKey         = errors.New("access_token is bound to another key than the gateway's (cnf.jkt)")
	errNotShown         = errors.New("the server did not ask for the certificate that access_token should be bound to")
	errOtherCertificate = errors.New("access_token is not bound to the certificate that was shown (cnf.x5t#S256)")
)

func (b Binding) check(legs []Leg) error {
	switch {
	case b.Prover == nil:
		return nil
	case b.Certificate != nil:
		return errors.New("a token is bound to a key or to a certificate")
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
	if b.Certificate != nil {
		return b.Certificate.Thumbprint(), nil
	}
	if b.Prover == nil {
		return "", nil
	}
	thumbprint, err := b.Prover.Thumbprint()
	return string(thumbprint[:]), err
}

// checkBinding reads in an issued JWT what it is bound to. Of a token that is
// opaque to the gateway nothing is known but what the answer says: token_type DPoP,
// and for a certificate not even that.
func (x *Exchanger) checkBinding(g *grant) error {
	switch {
	case g.leg != x.last():
		return nil
	case x.config.Bind.Certificate != nil:
		return g.checkCertificate()
	case x.config.Bind.Prover == nil || g.claims.boundTo == "":
		return nil
	}
	thumbprint, err := x.config.Bind.Prover.Thumbprint()
	if err == nil && g.claims.boundTo != base64.RawURLEncoding.EncodeToString(thumbprint[:]) {
		err = errOtherKey
	}
	return err
}

// checkCertificate compares with what was shown, which may be a newer certificate
// than the one that the key of the memory has.
func (g *grant) checkCertificate() error {
	switch {
	case g.answer.Shown == "":
		return errNotShown
	case g.claims.isJWT && g.claims.certificate != g.answer.Shown:
		return errOtherCertificate
	}
	return nil
}

// checkVerified is checkBinding for a token that was verified, so that it is known
// for certain what it is bound to.
func (x *Exchanger) checkVerified(g *grant, issued *token.Token) error {
	switch {
	case g.leg != x.last():
		return nil
	case x.config.Bind.Certificate != nil:
		if bound := issued.Confirmation.Certificate; base64.RawURLEncoding.EncodeToString(bound[:]) != g.answer.Shown {
			return errOtherCertificate
		}
	case x.config.Bind.Prover != nil:
		thumbprint, err := x.config.Bind.Prover.Thumbprint()
		if err == nil && !issued.Confirmation.Key.Is(thumbprint) {
			err = errOtherKey
		}
		return err
	}
	return nil
}

// A tokenProver makes the proofs of token requests.
type tokenProver struct{ prover *proof.Prover }

// Prove implements authserver.Prover.
func (p tokenProver) Prove(endpoint string) (string, error) {
	return p.prover.Prove(proof.Target{Method: http.MethodPost, URL: endpoint})
}

// Offered implements authserver.Prover.
func (p tokenProver) Offered(endpoint, nonce string) { p.prover.Offered(endpoint, nonce, false) }
