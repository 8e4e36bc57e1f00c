package sts

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// prove checks the DPoP proof of a request (RFC 9449, section 5), if it has one, and
// returns what it shows.
func (s *Service) prove(ctx context.Context, r *request) (proof.Proved, *Error) {
	if len(r.proofs) == 0 {
		return proof.Proved{}, nil
	}
	proved, err := s.config.DPoP.Check(ctx, proof.Request{
		Proofs: r.proofs, Method: http.MethodPost, URLs: []string{s.config.TokenEndpoint},
	})
	if err == nil {
		return proved, nil
	}
	if ctx.Err() != nil {
		return proof.Proved{}, refuse(OutcomeGone, ctx.Err())
	}
	outcome := OutcomeProof
	if reason, ok := errors.AsType[proof.Reason](err); ok {
		switch reason.Class() {
		case proof.ClassUseNonce:
			outcome = OutcomeNonce
		case proof.ClassTooMany:
			outcome = OutcomeTooMany
		case proof.ClassUnavailable:
			outcome = OutcomeUnavailable
		case proof.ClassInvalidProof, proof.ClassInvalidToken:
		}
	}
	refused := refuse(outcome, err)
	if outcome == OutcomeNonce {
		refused.Nonce = s.config.DPoP.Nonce()
	}
	return proof.Proved{}, refused
}

var (
	errKey         = errors.New("a token is bound to a key (cnf.jkt) of which the request has no proof")
	errCertificate = errors.New("a token is bound to a certificate (cnf.x5t#S256) that is not the connection's")
)

// holds wants the request to prove that the client holds what a token is bound to.
// Without it, anybody who stole the token would have it exchanged for one that is
// bound to nothing.
func holds(r *request, key token.Thumbprint, bound token.Confirmation) *Error {
	if !bound.Key.IsZero() && !bound.Key.Is(key) {
		return refuse(OutcomeUnproved, errKey)
	}
	if !bound.Certificate.IsZero() && (r.certificate == nil || !bound.Certificate.Is(proof.CertificateThumbprint(r.certificate.Raw))) {
		return refuse(OutcomeUnproved, errCertificate)
	}
	return nil
}

// binding is what the new token is bound to: the key of the proof, if there is one;
// else the certificate by which the client proved itself. What the subject token is
// bound to, the new one is too: a binding is never taken off.
func binding(client *Client, r *request, key token.Thumbprint, subject token.Confirmation) token.Confirmation {
	bound := token.Confirmation{Key: key, Certificate: subject.Certificate}
	if key.IsZero() && client.Auth.Name != "" && r.certificate != nil {
		bound.Certificate = proof.CertificateThumbprint(r.certificate.Raw)
	}
	return bound
}
