package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// maxIssued bounds an issued token, be it a server's or one that is minted: it goes
// into a header, and servers refuse headers long before that.
const maxIssued = 16 << 10

// What is wrong with an answer, for the operator.
var (
	errTokenType    = errors.New("token_type is not one that is accepted")
	errNoIssuedType = errors.New("no issued_token_type")
	errIssuedType   = errors.New("issued_token_type is not what was asked for")
	errRefusedAgain = errors.New("the upstream refuses the token that has just replaced another")
	errUpstream     = errors.New("the upstream answered 401 to the token that was made for it")
	errNonce        = errors.New("the upstream asked for a new DPoP nonce, and the request cannot be sent again")
	errSameAgain    = errors.New("the server issues the very token that the upstream refuses")
	errTokenText    = errors.New("access_token holds characters that a header cannot carry")
	errTokenSize    = errors.New("access_token is longer than 16 KiB")
	errSameToken    = errors.New("access_token is the caller's own token")
	errExpired      = errors.New("access_token has already expired")
	errWiderScope   = errors.New("scope is wider than what was asked for or what the caller holds")
	errAudience     = errors.New("access_token is for an audience of the caller's token and for none that was asked for")
)

// A grant is an answer beside what was asked, while it is being judged.
type grant struct {
	leg     *leg
	caller  Caller
	subject token.Raw   // what was sent: the caller's token or an earlier leg's
	actor   *actorToken // nil: none
	asked   []string
	answer  *authserver.TokenResponse
	claims  issuedClaims
}

// answerChecks is what an answer must pass before its token is used (RFC 8693,
// section 2.2.1; RFC 6749, sections 5.1 and 7.1).
var answerChecks = []func(*Exchanger, *grant) error{
	(*Exchanger).checkTokenType,
	(*Exchanger).checkIssuedType,
	(*Exchanger).checkText,
	(*Exchanger).checkExpiry,
	(*Exchanger).checkScope,
	(*Exchanger).checkAudience,
	(*Exchanger).checkBinding,
}

// accept judges an answer. Errors wrap authserver.ErrBadAnswer and name members,
// never their values.
func (x *Exchanger) accept(ctx context.Context, g *grant) (*grant, error) {
	g.claims = readClaims(g.answer.AccessToken.Reveal())
	for _, check := range answerChecks {
		if err := check(x, g); err != nil {
			return nil, fmt.Errorf("%w: %w", authserver.ErrBadAnswer, err)
		}
	}
	return g, x.verify(ctx, g)
}

func (*Exchanger) checkTokenType(g *grant) error {
	// A token of another type is used in another way (RFC 6749, section 7.1);
	// N_A is not an access token at all.
	if !slices.ContainsFunc(g.leg.Accept.TokenTypes, func(accepted string) bool {
		return strings.EqualFold(g.answer.TokenType, accepted)
	}) {
		return errTokenType
	}
	return nil
}

func (*Exchanger) checkIssuedType(g *grant) error {
	switch {
	case g.leg.Grant != GrantTokenExchange:
		return nil // the others issue access tokens and do not say so (RFC 6749, section 5.1)
	case g.answer.IssuedTokenType == "":
		return errNoIssuedType
	case !slices.Contains(g.leg.Accept.Issued, g.answer.IssuedTokenType):
		return errIssuedType
	}
	return nil
}

func (*Exchanger) checkText(g *grant) error {
	text := g.answer.AccessToken.Reveal()
	switch {
	case text == "" || !visible(text):
		// A line break would end the header that carries it.
		return errTokenText
	case len(text) > maxIssued:
		return errTokenSize
	case g.leg.Grant.hasSubject() && (handsBack(text, g.caller.Raw.Reveal()) || handsBack(text, g.subject.Reveal())):
		// A server that hands the caller's token back, or what a careless upstream
		// takes for it, would have the gateway give it to an upstream.
		return errSameToken
	}
	return nil
}

// handsBack tells whether an issued token is the caller's own, or holds all that
// a JWT of the caller's says.
func handsBack(issued, callers string) bool {
	if strings.Count(callers, ".") != 2 { //nolint:mnd // RFC 7515, section 7.1
		return issued == callers
	}
	unsigned := callers[:strings.LastIndexByte(callers, '.')]
	return strings.Contains(issued, unsigned)
}

func (*Exchanger) checkExpiry(g *grant) error {
	if g.answer.HasExpiresIn && g.answer.ExpiresIn <= 0 {
		return errExpired
	}
	if !g.claims.expiry.IsZero() && !g.answer.SentAt.Before(g.claims.expiry) {
		return errExpired
	}
	return nil
}

// checkScope refuses a token that may do more than was asked for or, where
// nothing was asked for, more than the caller may do. The upstream reads the token
// and not the answer, so a JWT's own scope counts as well: unless none of it is
// what may be granted, for then the server has other names for it in tokens.
func (*Exchanger) checkScope(g *grant) error {
	if g.leg.Accept.WiderScope {
		return nil
	}
	allowed := g.asked
	if len(allowed) == 0 && g.caller.Token != nil {
		allowed = g.caller.Token.Scopes
	}
	granted := g.granted()
	if overlap(g.claims.scope, allowed) {
		granted = slices.Concat(granted, g.claims.scope)
	}
	var wider []string
	for _, scope := range granted {
		if !slices.Contains(allowed, scope) && !slices.Contains(wider, scope) {
			wider = append(wider, scope)
		}
	}
	if len(wider) > 0 {
		return fmt.Errorf("%w: %s", errWiderScope, printable(wider))
	}
	return nil
}

// granted is what the server says it granted; where it says nothing, what the
// token itself says, and then what was asked for (RFC 6749, section 5.1).
func (g *grant) granted() []string {
	switch {
	case g.answer.HasScope:
		return g.answer.Scope
	case g.claims.hasScope:
		return g.claims.scope
	default:
		return g.asked
	}
}

// checkAudience refuses a token that is for none of the audiences asked for and
// still for one of the caller's: the server did not understand what was asked,
// and the upstream could present it at the gateway's own front door. A server
// may call the same target by another name, so other audiences say nothing.
func (*Exchanger) checkAudience(g *grant) error {
	targets := g.leg.targets()
	if len(targets) == 0 || g.caller.Token == nil || overlap(g.claims.audience, targets) {
		return nil
	}
	if overlap(g.claims.audience, g.caller.Token.Audience) {
		return errAudience
	}
	return nil
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(text string) bool { return slices.Contains(b, text) })
}

// issue makes what the upstream gets of an accepted answer.
func (x *Exchanger) issue(g *grant) (*Issued, lifetime) {
	sent := g.answer.SentAt
	ends := []time.Time{g.claims.expiry}
	if g.answer.HasExpiresIn {
		ends = append(ends, sent.Add(g.answer.ExpiresIn))
	}
	life := newLifetime(sent, ends, x.caps(g))
	issued := &Issued{Scope: g.granted(), Expiry: life.expiry, ID: g.claims.id}
	issued.Token, issued.Credential = token.NewRaw(g.answer.AccessToken.Reveal()).Behind(x.config.Scheme)
	return issued, life
}

// caps are what bounds the reuse of a token beside its own end. The gateway's own
// token is nobody's, so no caller's end is its end.
func (x *Exchanger) caps(g *grant) []time.Time {
	caps := []time.Time{g.answer.SentAt.Add(x.config.MaxTTL)}
	if g.actor != nil {
		caps = append(caps, g.actor.expiry)
	}
	if !x.forAll() {
		caps = append(caps, g.caller.Token.Expiry)
	}
	return caps
}

// printable lists a few scopes for the operator's log. They are the server's
// words: what does not look like a scope is not repeated.
func printable(scopes []string) string {
	const most, longest = 5, 64
	shown := make([]string, 0, most)
	for _, scope := range scopes[:min(len(scopes), most)] {
		if len(scope) > longest || !validScope(scope) {
			scope = "…"
		}
		shown = append(shown, scope)
	}
	return strings.Join(shown, " ")
}
