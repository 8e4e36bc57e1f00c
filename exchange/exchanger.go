package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Caller is whose token is exchanged: the token as it came, and what a
// Verifier found in that very text. The zero value is a caller without a token.
type Caller struct {
	Raw   token.Raw
	Token *token.Token
}

// An Exchanger is one exchange block. It is immutable and safe for concurrent
// use.
type Exchanger struct {
	config Config
	state  *State
	// settings are part of every key.
	settings fingerprint
	legs     []*leg
	// bounded tells that some leg asks for no scope, so that what the caller holds
	// bounds its answer.
	bounded bool
	// actors is how many legs name one.
	actors int
	// timeout bounds all requests of one exchange together.
	timeout time.Duration
	// shortcut spares the usual caller the key.
	shortcut *shortcut
}

// New makes an exchanger. Nothing is fetched, and the state is not touched.
func New(config Config) (*Exchanger, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	exchanger := &Exchanger{config: config, state: config.State, settings: settingsOf(config)}
	for i, settings := range config.legs() {
		prefix := exchanger.settings
		if i < len(config.Then) {
			prefix = prefixOf(config, i+1)
		}
		made := newLeg(settings, i+1, prefix)
		if settings.Grant == GrantLocal {
			exchanger.legs = append(exchanger.legs, made)
			return exchanger, nil
		}
		if i == len(config.Then) && config.Bind.Prover != nil {
			made.prover = tokenProver{config.Bind.Prover}
		}
		exchanger.legs = append(exchanger.legs, made)
		exchanger.bounded = exchanger.bounded || (made.asksNothing() && !made.Accept.WiderScope)
		exchanger.timeout += settings.Client.Timeout()
		if settings.Actor != nil {
			exchanger.actors++
		}
		if settings.Actor != nil && settings.Actor.Self {
			exchanger.timeout += settings.Client.Timeout()
		}
	}
	if exchanger.sharing() {
		exchanger.timeout += readPatience
	}
	exchanger.shortcut = exchanger.newShortcut()
	return exchanger, nil
}

// last is the leg whose token the upstream gets.
func (x *Exchanger) last() *leg { return x.legs[len(x.legs)-1] }

// Audience is what the issued tokens are for, audiences before resources.
func (x *Exchanger) Audience() []string { return x.last().targets() }

// Asked is the scope that is asked for this caller: what of the configured scope
// it holds, or what is asked for in any case.
func (x *Exchanger) Asked(caller *token.Token) []string { return x.last().ask(nil, caller) }

// Server names who is asked in a leg, counted from one, or in the last one for 0: the
// server's host and the client_id that the gateway has there, as far as the client
// says so. It is for the audit trail.
func (x *Exchanger) Server(number int) (host, client string) {
	asked := x.last()
	if number > 0 && number <= len(x.legs) {
		asked = x.legs[number-1]
	}
	if named, ok := asked.Client.(interface{ Host() string }); ok {
		host = named.Host()
	}
	if named, ok := asked.Client.(interface{ ID() string }); ok {
		client = named.ID()
	}
	return host, client
}

// ActDepth is how many parties act for the caller once the token is exchanged: those
// that its own token names, and the actors of the exchange (RFC 8693, section 4.1).
func (x *Exchanger) ActDepth(caller *token.Token) int {
	depth := 0
	if caller != nil && !x.AsGateway() {
		act, _ := caller.Claims.Get("act")
		depth = chainLength(act)
	}
	for _, leg := range x.legs {
		if leg.Actor != nil {
			depth++
		}
	}
	return depth
}

// Prover makes the proofs that go with the issued tokens, nil if they are bearer
// tokens.
func (x *Exchanger) Prover() *proof.Prover { return x.config.Bind.Prover }

// Certificate is what connections to the upstream must show, nil if the issued
// tokens are bound to none.
func (x *Exchanger) Certificate() Certificate { return x.config.Bind.Certificate }

// Evict forgets every token that was issued for a caller that match finds; see
// State.Evict.
func (x *Exchanger) Evict(match func(Origin) bool) int { return x.state.Evict(match) }

// AsGateway tells whether tokens are the gateway's own: what the caller may do is
// then for the gateway alone to decide.
func (x *Exchanger) AsGateway() bool { return x.config.Grant == GrantLocal || x.forAll() }

// forAll tells whether all callers get the same token.
func (x *Exchanger) forAll() bool { return !x.config.Grant.hasSubject() }

// Exchange returns the token that the upstream gets instead of the caller's.
//
// Errors are an *Error, which holds the answer for the caller, or one that wraps
// ctx's own error if that came first. Ask for the *Error first: its cause may
// well be a deadline, of another context. There is no third kind, and no error
// comes with a token.
func (x *Exchanger) Exchange(ctx context.Context, caller Caller) (*Issued, error) {
	if x.config.Local != nil {
		return x.mint(caller, nil)
	}
	return x.exchange(ctx, caller, x.config.Now())
}

// Remembered returns what Exchange would find without any work for a token that is used
// often, nil where Exchange has to be asked. held says what the token raw says.
func (x *Exchanger) Remembered(raw *token.Raw, held *token.Token) *Issued {
	if x.shortcut == nil {
		return nil
	}
	kept := x.shortcut.find(raw, held, x.config.Now().UnixNano())
	if kept == nil || x.state.unswept() { // who was revoked at this moment, Exchange finds out
		return nil
	}
	x.state.counts.used.Straight()
	return kept.issued
}

// exchange is Exchange by the key.
func (x *Exchanger) exchange(ctx context.Context, caller Caller, now time.Time) (*Issued, error) {
	if err := x.admit(caller, now); err != nil {
		return nil, err
	}
	var space [16]string // on the stack, so that a hit allocates nothing
	key, err := x.key(space[:0], caller)
	if err != nil {
		return nil, err
	}
	if kept := x.state.freshEntry(key, now); kept != nil {
		if x.overtaken(caller) {
			return nil, newError(OutcomeSubjectRejected, errRevoked)
		}
		x.state.counts.used.RecordHits(1)
		x.shortcut.note(caller, kept, now)
		return x.reuse(key, kept, caller, now), nil //nolint:contextcheck // what it sets off outlives this request
	}
	x.state.counts.used.RecordMisses(1)
	if failure := x.state.refusals.find(key, now); failure != nil {
		return nil, failure
	}
	issued, err := x.share(ctx, key, func(call context.Context) (*Issued, error) {
		return x.call(ctx, call, key, caller)
	})
	return x.still(caller, issued, err)
}

var (
	errCaller  = errors.New("the token and its claims are not of one caller")
	errForeign = errors.New("the caller's token is from an issuer that subject_issuer does not name")
	errPast    = errors.New("the caller's token has expired but for the leeway")
	errNoScope = errors.New("the caller holds none of the scopes of the exchange")
	errRevoked = errors.New("the caller's token was revoked while another one was being asked for")
	errNobody  = errors.New("there is no caller, and the exchange does not serve anonymous ones")
)

// admit tells whether this token may be sent to the server at all.
func (x *Exchanger) admit(caller Caller, now time.Time) error {
	if caller.Token == nil && x.AsGateway() {
		if !x.config.Anonymous {
			return newError(OutcomeFault, errNobody)
		}
		return nil
	}
	if x.forAll() {
		return nil // nothing of it is sent
	}
	switch {
	case caller.Token == nil || caller.Raw.IsZero() || caller.Raw.Digest() != caller.Token.Digest:
		return newError(OutcomeFault, errCaller)
	case x.config.Local == nil && !slices.Contains(x.config.SubjectIssuers, caller.Token.Issuer):
		// Another server would learn a token that is good elsewhere.
		return newError(OutcomeForeignIssuer, errForeign)
	case !now.Before(caller.Token.Expiry):
		// Good here within the leeway; the server would refuse it.
		return newError(OutcomeSubjectRejected, errPast)
	default:
		return nil
	}
}

// still refuses what was got for a caller whose token is no longer good: it was when
// the call began, but the call took its time.
func (x *Exchanger) still(caller Caller, issued *Issued, err error) (*Issued, error) {
	if err == nil && x.revoked(caller) {
		return nil, newError(OutcomeSubjectRejected, errRevoked)
	}
	return issued, err
}

func (x *Exchanger) revoked(caller Caller) bool {
	return caller.Token != nil && x.config.Revoked != nil && x.config.Revoked(caller.Token)
}

// share waits for the one call that is made for this key at a time.
func (x *Exchanger) share(
	ctx context.Context, key cacheKey, call func(context.Context) (*Issued, error),
) (*Issued, error) {
	issued, err := x.state.flights.Do(ctx, key, x.timeout, call)
	return landed(ctx, issued, err)
}

// landed is what came of a flight for one of those who waited for it.
func landed(ctx context.Context, issued *Issued, err error) (*Issued, error) {
	var failure *Error
	switch {
	case err == nil:
		return issued, nil
	case errors.As(err, &failure):
		return nil, failure
	case ctx.Err() != nil:
		return nil, fmt.Errorf("waiting for the exchange: %w", ctx.Err())
	default:
		return nil, newError(OutcomeFault, err)
	}
}

// call makes the call, unless a flight that has just landed made it superfluous.
// A token that was due to be replaced serves on while the server is down.
func (x *Exchanger) call(first, call context.Context, key cacheKey, caller Caller) (*Issued, error) {
	if hit := x.state.fresh(key, x.config.Now()); hit != nil {
		return hit, nil
	}
	if found := x.recall(call, key, caller, time.Time{}); found != nil {
		return found, nil
	}
	issued, failure := x.observed(first, call, key, caller)
	return x.orLast(key, issued, failure)
}

// observed requests a token and tells whoever watches how it went.
func (x *Exchanger) observed(first, call context.Context, key cacheKey, caller Caller) (*Issued, *Error) {
	end := func(error) {}
	if x.config.Observe != nil {
		call, end = x.config.Observe(first, call)
	}
	issued, failure := x.request(call, key, caller)
	if x.state.ends.note(failure, x.config.Now()) && x.config.Misconfigured != nil {
		x.config.Misconfigured(failure)
	}
	if failure != nil {
		end(failure)
		return nil, failure
	}
	end(nil)
	return issued, nil
}

// request runs the legs and remembers what came of it.
func (x *Exchanger) request(call context.Context, key cacheKey, caller Caller) (*Issued, *Error) {
	generation, place := x.state.begin(), x.place(caller)
	checked, failure := x.chain(call, caller)
	now := x.config.Now()
	if failure != nil {
		var end time.Time
		if caller.Token != nil {
			end = caller.Token.Expiry
		}
		x.state.refusals.remember(key, failure, now, end)
		return nil, failure
	}
	issued, life := x.issue(checked)
	if place != x.place(caller) {
		place = secondPlace{} // a certificate or an actor became another one meanwhile
	}
	if x.keepAt(call, key, x.entry(place, issued, life, caller), generation) {
		x.give(place, issued, life, generation) //nolint:contextcheck // it goes on behind the request
	}
	return issued, nil
}

func (x *Exchanger) origin(caller Caller) Origin {
	if x.forAll() {
		return Origin{} // one token for all: nobody's logout ends it
	}
	origin := originOf(caller.Token)
	if caller.Token != nil && x.config.Ancestry != nil {
		origin.Ancestry = x.config.Ancestry(caller.Token)
	}
	return origin
}
