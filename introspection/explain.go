package introspection

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// An Explanation is how a gate sees a credential, check by check: what it says
// itself, what its issuer says of it, or both.
type Explanation struct {
	// JWT is how it reads as a JWT, nil if it is taken for an opaque token.
	JWT *token.Explanation
	// Asked is the issuer that is asked about it, "" for none.
	Asked string
	// Prefix is how the credential begins, where that chose the issuer.
	Prefix string
	// Told is what the issuer said, and what the rules of the route make of it; nil
	// where nobody is asked. Its first check is prefix or introspection.
	Told *token.Explanation
}

// Checks are all checks in their order.
func (e *Explanation) Checks() []token.CheckResult {
	var all []token.CheckResult
	for _, part := range e.parts() {
		all = append(all, part.Checks...)
	}
	return all
}

// Token is the token as far as it is known, nil if it is not. Unless every check
// was passed nothing of it may be believed.
func (e *Explanation) Token() *token.Token {
	for _, part := range slices.Backward(e.parts()) {
		if part.Token != nil {
			return part.Token
		}
	}
	return nil
}

func (e *Explanation) parts() []*token.Explanation {
	return slices.DeleteFunc([]*token.Explanation{e.JWT, e.Told}, func(part *token.Explanation) bool { return part == nil })
}

var errNobodys = errors.New("it is opaque, and begins like no token of an issuer of this route, so nobody is asked")

// Explain checks a credential as Verify does and goes on after a failure wherever
// there is something left to check, for a person who asks why. It asks whom Verify
// asks, and nobody else.
func (g *Gate) Explain(ctx context.Context, raw token.Raw) Explanation {
	if g.isOpaque(raw) {
		return g.explainOpaque(ctx, raw)
	}
	jwt := g.verifier.ExplainToAsk(ctx, raw)
	explained := Explanation{JWT: &jwt}
	if jwt.Issuer == nil || g.always[jwt.Issuer.URL] == nil {
		return explained
	}
	explained.Asked, explained.Told = jwt.Issuer.URL, new(token.Explanation)
	if !jwt.Good() {
		explained.Told.Skip("introspection") // nobody is asked about a bad one
		return explained
	}
	g.explainAnswer(ctx, g.always[jwt.Issuer.URL], raw, &explained)
	return explained
}

func (g *Gate) explainOpaque(ctx context.Context, raw token.Raw) Explanation {
	explained := Explanation{Told: new(token.Explanation)}
	introspector, prefix := g.router.find(raw)
	if introspector == nil {
		explained.Told.Note("prefix", fmt.Errorf("%w: %w", token.NotJWT, errNobodys))
		explained.Told.Skip("introspection")
		return explained
	}
	explained.Asked, explained.Prefix = introspector.Issuer(), prefix
	explained.Told.Note("prefix", nil)
	g.explainAnswer(ctx, introspector, raw, &explained)
	return explained
}

func (g *Gate) explainAnswer(ctx context.Context, introspector *Introspector, raw token.Raw, explained *Explanation) {
	var jwt *token.Token
	if explained.JWT != nil {
		jwt = explained.JWT.Token
	}
	said, err := introspector.Introspect(ctx, raw, jwt)
	if _, ok := errors.AsType[token.Reason](err); err != nil && !ok {
		err = errors.Join(token.IntrospectionUnavailable, err) // whoever asked left first
	}
	explained.Told.Note("introspection", err)
	if err != nil {
		explained.Told.Skip()
		return
	}
	g.verifier.ExplainJudged(explained.Told, said)
}
