package introspection

import (
	"context"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Gate validates the credentials of one route, of both kinds: JWTs, which it
// can read, and opaque tokens, about which it asks their issuer. It is immutable
// and safe for concurrent use.
type Gate struct {
	verifier *token.Verifier
	router   *Router                  // nil: no issuer has opaque tokens
	always   map[string]*Introspector // by issuer: asked about JWTs too
}

// NewGate makes a gate. router may be nil; always holds the introspectors of the
// issuers that are asked about every token.
func NewGate(verifier *token.Verifier, router *Router, always ...*Introspector) *Gate {
	gate := &Gate{verifier: verifier, router: router, always: make(map[string]*Introspector, len(always))}
	for _, introspector := range always {
		gate.always[introspector.Issuer()] = introspector
	}
	return gate
}

// AsksNobody tells that the verifier alone decides.
func (g *Gate) AsksNobody() bool { return g.router == nil && len(g.always) == 0 }

// Verify returns the token and its issuer, or an error that wraps the
// token.Reason it is refused for, or the context's. A JWT passes every check that
// needs nobody before its issuer is asked about it. What an issuer said is judged
// by the same rules, on every request.
func (g *Gate) Verify(ctx context.Context, raw token.Raw) (*token.Token, *token.Issuer, error) {
	if g.isOpaque(raw) {
		return g.opaque(ctx, raw)
	}
	if len(g.always) == 0 {
		return g.verifier.Verify(ctx, raw)
	}
	parsed, issuer, err := g.verifier.VerifyToAsk(ctx, raw)
	if err != nil {
		return nil, nil, err
	}
	introspector := g.always[issuer.URL]
	if introspector == nil {
		return parsed, issuer, nil
	}
	return g.ask(ctx, introspector, raw, parsed)
}

// isOpaque tells whether a token's issuer has to say what it means. Some issuers
// make references that have the form of a JWE, which they alone open: such a token
// is taken for one only where a written prefix says so.
func (g *Gate) isOpaque(raw token.Raw) bool {
	switch {
	case g.router == nil:
		return false
	case !raw.LooksLikeJWT():
		return true
	case !jose.IsEncrypted(raw.Reveal()):
		return false
	default:
		_, prefix := g.router.find(raw)
		return prefix != ""
	}
}

// errNoPrefix is for the operator whose prefixes leave a token out.
var errNoPrefix = fmt.Errorf("%w: it is opaque and begins like no prefix of introspection", token.NotJWT)

// opaque asks the one issuer that the token belongs to. Where none does nobody is
// asked: a token that is shown on a guess is a token given away.
func (g *Gate) opaque(ctx context.Context, raw token.Raw) (*token.Token, *token.Issuer, error) {
	introspector := g.router.Find(raw)
	if introspector == nil {
		return nil, nil, errNoPrefix
	}
	return g.ask(ctx, introspector, raw, nil)
}

func (g *Gate) ask(
	ctx context.Context, introspector *Introspector, raw token.Raw, parsed *token.Token,
) (*token.Token, *token.Issuer, error) {
	said, err := introspector.Introspect(ctx, raw, parsed)
	if err != nil {
		return nil, nil, err
	}
	issuer, err := g.verifier.Judge(said)
	if err != nil {
		return nil, nil, err
	}
	return said, issuer, nil
}
