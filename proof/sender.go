package proof

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Kinds are ways to show that a token is the presenter's own.
type Kinds struct {
	DPoP bool // a proof that the token's key signed
	MTLS bool // the certificate of the TLS connection
}

// IsZero tells whether there is none: a bearer token.
func (k Kinds) IsZero() bool { return k == Kinds{} }

// Meet tells whether one of the kinds that are required was shown. Nothing required
// is always met.
func (k Kinds) Meet(required Kinds) bool {
	return required.IsZero() || k.DPoP && required.DPoP || k.MTLS && required.MTLS
}

// A Presentation is how a token came to the gateway.
type Presentation struct {
	// DPoP is true if the scheme of the Authorization header was DPoP (RFC 9449,
	// section 7.1).
	DPoP bool
	// Proofs, Method and URLs are those of a Request.
	Proofs []string
	Method string
	URLs   []string
	// Certificate is the client's certificate in DER: of the TLS connection, where
	// the handshake proved its key, or forwarded by a proxy that is trusted. nil if
	// there is none.
	Certificate []byte
	// NoCertificate says why there is none, if it is known: for the operator.
	NoCertificate error
}

// A Sender checks that tokens are presented by whom they are bound to. It is
// immutable and safe for concurrent use.
type Sender struct {
	dpop     *DPoP
	required Kinds
}

// NewSender makes a checker. With required, a token must be bound in one of these
// ways at least.
func NewSender(dpop *DPoP, required Kinds) (*Sender, error) {
	if dpop == nil {
		return nil, errors.New("a sender check without DPoP could not read the proofs of bound tokens")
	}
	return &Sender{dpop: dpop, required: required}, nil
}

// A Shown is what a good presentation showed.
type Shown struct {
	Kinds
	// NextNonce is what the answer should offer in its DPoP-Nonce header, "" if there
	// is no need.
	NextNonce string
}

// Indifferent tells of a token that came as a bearer token that Check lets it pass,
// whatever came with it: it is bound to nothing, and nothing is required.
func (s *Sender) Indifferent(bound *token.Confirmation) bool {
	return s.required.IsZero() && bound.Key.IsZero() && bound.Certificate.IsZero()
}

// Check wants every binding of the token to be met; a token without one is a bearer
// token, which is good unless something is required. The token has been verified
// before: its cnf claim is the issuer's word. An error wraps a Reason.
//
// A proof that comes with a bearer token under the scheme Bearer is not looked at:
// nothing depends on it.
func (s *Sender) Check(ctx context.Context, raw token.Digest, bound token.Confirmation, p Presentation) (Shown, error) {
	var shown Shown
	shown.Kinds = Kinds{DPoP: !bound.Key.IsZero(), MTLS: !bound.Certificate.IsZero()}
	switch {
	case raw == token.Digest{}:
		return Shown{}, fmt.Errorf("%w: there is no token", BadProof)
	case shown.DPoP && !p.DPoP:
		return Shown{}, fmt.Errorf("%w: the token is bound to a key (cnf.jkt) and did not come under the scheme DPoP", PlainBearer)
	case p.DPoP && !shown.DPoP:
		return Shown{}, fmt.Errorf("%w: the scheme is DPoP and the token has no cnf.jkt", NotBound)
	case !shown.Meet(s.required):
		return Shown{}, fmt.Errorf("%w: the token is not bound in a way that is accepted here", NotConstrained)
	}
	if err := checkCertificate(bound.Certificate, p); err != nil {
		return Shown{}, err
	}
	if shown.DPoP {
		proved, err := s.dpop.Check(ctx, Request{
			Proofs: p.Proofs, Method: p.Method, URLs: p.URLs, Token: raw, Key: bound.Key,
		})
		if err != nil {
			return Shown{}, err
		}
		shown.NextNonce = proved.NextNonce
	}
	return shown, nil
}

// DPoP is what checks the proofs, and knows the algorithms and the nonce of a
// challenge.
func (s *Sender) DPoP() *DPoP { return s.dpop }

// checkCertificate compares with x5t#S256 (RFC 8705, section 3.1).
func checkCertificate(want token.Thumbprint, p Presentation) error {
	switch {
	case want.IsZero():
		return nil
	case len(p.Certificate) == 0 && p.NoCertificate != nil:
		return fmt.Errorf("%w: the token is bound to a client certificate: %w", NoCertificate, p.NoCertificate)
	case len(p.Certificate) == 0:
		return fmt.Errorf("%w: the token is bound to a client certificate and none was presented", NoCertificate)
	case !want.Is(CertificateThumbprint(p.Certificate)):
		return fmt.Errorf("%w: the token is bound to another client certificate", WrongCertificate)
	default:
		return nil
	}
}
