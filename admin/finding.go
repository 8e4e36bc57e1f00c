package admin

import (
	"context"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/introspection"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A finding is what one door makes of the token.
type finding struct {
	introspection.Explanation

	door   Door
	opaque bool // it has not the form of a JWT
	// bound is what comes of sender_constrained, nil where the door has none.
	bound *token.CheckResult
}

// examine holds the token against the door.
func (d Door) examine(ctx context.Context, raw token.Raw) finding {
	found := finding{Explanation: d.Gate.Explain(ctx, raw), door: d, opaque: !raw.LooksLikeJWT()}
	if !d.Bound.IsZero() {
		found.bound = d.constrained(found.Token())
	}
	return found
}

// constrained tells whether the token is bound in a way that the door accepts. Whether
// it comes from whom it is bound to, only a request can show.
func (d Door) constrained(held *token.Token) *token.CheckResult {
	result := &token.CheckResult{Name: "sender_constrained", Outcome: token.Passed}
	switch {
	case held == nil:
		result.Outcome = token.NotReached
	case !kindsOf(held.Confirmation).Meet(d.Bound):
		result.Outcome = token.Failed
		result.Err = fmt.Errorf("%w: the token is not bound in a way that is accepted here", proof.NotConstrained)
	}
	return result
}

// kindsOf are the ways in which a token is bound.
func kindsOf(bound token.Confirmation) proof.Kinds {
	return proof.Kinds{DPoP: !bound.Key.IsZero(), MTLS: !bound.Certificate.IsZero()}
}

// checks are all checks of the door, in their order.
func (f *finding) checks() []token.CheckResult {
	checks := f.Checks()
	if f.bound != nil {
		checks = append(checks, *f.bound)
	}
	return checks
}

// issuer is the issuer whose rules the token was held against, "" if there is none.
func (f *finding) issuer() string {
	if f.JWT != nil && f.JWT.Issuer != nil {
		return f.JWT.Issuer.URL
	}
	return f.Asked
}
