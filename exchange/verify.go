package exchange

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

var errOtherSubject = errors.New("access_token is for another subject than the caller's")

// verify verifies the token that came back where the configuration says so: its
// signature, issuer, audience and times by the rules of its issuer, and that it is
// still about the same person. Another issuer may call that person by another
// name; the same one may not.
func (x *Exchanger) verify(ctx context.Context, g *grant) error {
	if g.leg.Accept.Verifier == nil {
		return nil
	}
	issued, _, err := g.leg.Accept.Verifier.Verify(ctx, token.NewRaw(g.answer.AccessToken.Reveal()))
	switch {
	case errors.Is(err, token.NoKeys), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("verifying the issued token: %w", err)
	case err != nil:
		return fmt.Errorf("%w: access_token: %w", authserver.ErrBadAnswer, err)
	}
	if caller := g.caller.Token; !x.AsGateway() && caller != nil &&
		issued.Issuer == caller.Issuer && issued.Subject != caller.Subject {
		return fmt.Errorf("%w: %w", authserver.ErrBadAnswer, errOtherSubject)
	}
	if err := x.checkVerified(g, issued); err != nil {
		return fmt.Errorf("%w: %w", authserver.ErrBadAnswer, err)
	}
	return nil
}
