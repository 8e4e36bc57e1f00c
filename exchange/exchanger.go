package exchange

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Caller is whose token is exchanged: the token as it came, and what a
// Verifier found in that very text.
type Caller struct {
	Raw   token.Raw
	Token *token.Token
}

// An Exchanger is one exchange block. It is immutable and safe for concurrent
// use.
type Exchanger struct {
	config Config
	state  *State
	// settings and target are parts of the key and of the success memory's.
	settings, target fingerprint
	// scopes are those of the configuration in the order of a key.
	scopes []string
	// form is what every request has in common.
	form url.Values
}

// New makes an exchanger. Nothing is fetched, and the state is not touched.
func New(config Config) (*Exchanger, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	exchanger := &Exchanger{
		config:   config,
		state:    config.State,
		settings: settingsOf(config),
		scopes:   sorted(config.Scope),
		form:     commonForm(config),
	}
	exchanger.target = targetOf(exchanger.settings, config.Scope)
	return exchanger, nil
}

// commonForm lays out the fields of RFC 8693, section 2.1, that do not depend on
// the caller.
func commonForm(config Config) url.Values {
	form := url.Values{
		"grant_type":         {grantTokenExchange},
		"subject_token_type": {config.SubjectType},
	}
	for name, values := range map[string][]string{"audience": config.Audience, "resource": config.Resource} {
		if len(values) > 0 {
			form[name] = slices.Clone(values)
		}
	}
	if config.RequestedType != "" {
		form.Set("requested_token_type", config.RequestedType)
	}
	for _, param := range config.Params {
		form.Add(param.Name, param.Value)
	}
	return form
}

// Audience is what the issued tokens are for, audiences before resources.
func (x *Exchanger) Audience() []string { return slices.Concat(x.config.Audience, x.config.Resource) }

// Asked is the scope that is asked for this caller: what of the configured scope
// it holds.
func (x *Exchanger) Asked(caller *token.Token) []string { return x.ask(nil, caller) }

// Exchange returns the token that the upstream gets instead of the caller's.
//
// Errors are an *Error, which holds the answer for the caller, or one that wraps
// ctx's own error if that came first. Ask for the *Error first: its cause may
// well be a deadline, of another context. There is no third kind, and no error
// comes with a token.
func (x *Exchanger) Exchange(ctx context.Context, caller Caller) (*Issued, error) {
	now := x.config.Now()
	if err := x.admit(caller, now); err != nil {
		return nil, err
	}
	var space [16]string // on the stack, so that a hit allocates nothing
	asked := x.ask(space[:0], caller.Token)
	if len(x.scopes) > 0 && len(asked) == 0 {
		// Asking for no scope would make many servers grant their default.
		failure := newError(OutcomeInsufficientScope, errNoScope)
		failure.Scope = x.config.Scope
		return nil, failure
	}
	key := x.state.keys.key(&x.settings, &caller.Token.Digest, asked, x.bound(caller.Token))
	if hit := x.state.fresh(key, now); hit != nil {
		return hit, nil
	}
	return x.share(ctx, key, caller)
}

var (
	errCaller  = errors.New("the token and its claims are not of one caller")
	errForeign = errors.New("the caller's token is from an issuer that subject_issuer does not name")
	errPast    = errors.New("the caller's token has expired but for the leeway")
	errNoScope = errors.New("the caller holds none of the scopes of the exchange")
)

// admit tells whether this token may be sent to the server at all.
func (x *Exchanger) admit(caller Caller, now time.Time) error {
	switch {
	case caller.Token == nil || caller.Raw.IsZero() || caller.Raw.Digest() != caller.Token.Digest:
		return newError(OutcomeFault, errCaller)
	case !slices.Contains(x.config.SubjectIssuers, caller.Token.Issuer):
		// Another server would learn a token that is good elsewhere.
		return newError(OutcomeForeignIssuer, errForeign)
	case !now.Before(caller.Token.Expiry):
		// Good here within the leeway; the server would refuse it.
		return newError(OutcomeSubjectRejected, errPast)
	default:
		return nil
	}
}

// ask appends the scopes to ask for: those of the configuration that the caller
// holds.
func (x *Exchanger) ask(to []string, caller *token.Token) []string {
	for _, scope := range x.scopes {
		if caller.HasScope(scope) {
			to = append(to, scope)
		}
	}
	return to
}

// bound is what the answer's scope must lie within where nothing is asked for:
// what the caller holds. It depends on where the configuration finds scopes in a
// token, so the token alone does not tell it.
func (x *Exchanger) bound(caller *token.Token) []string {
	if len(x.scopes) > 0 {
		return nil
	}
	return caller.Scopes
}

// share waits for the one call that is made for this key at a time.
func (x *Exchanger) share(ctx context.Context, key cacheKey, caller Caller) (*Issued, error) {
	issued, err := x.state.flights.Do(ctx, key, x.config.Client.Timeout(), func(call context.Context) (*Issued, error) {
		return x.call(ctx, call, key, caller)
	})
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
	issued, failure := x.observed(first, call, key, caller)
	if failure == nil {
		return issued, nil
	}
	if failure.Outcome == OutcomeServerDown || failure.Outcome == OutcomeTimeout {
		if last := x.state.stale(key, x.config.Now()); last != nil {
			return last.degraded(failure), nil
		}
	}
	return nil, failure
}

// observed requests a token and tells whoever watches how it went.
func (x *Exchanger) observed(first, call context.Context, key cacheKey, caller Caller) (*Issued, *Error) {
	end := func(error) {}
	if x.config.Observe != nil {
		call, end = x.config.Observe(first, call)
	}
	issued, err := x.request(call, key, caller)
	if err != nil {
		failure := x.failed(caller, err)
		end(failure)
		return nil, failure
	}
	end(nil)
	return issued, nil
}

// request asks the server, judges its answer and remembers it.
func (x *Exchanger) request(call context.Context, key cacheKey, caller Caller) (*Issued, error) {
	asked := x.ask(nil, caller.Token)
	answer, err := x.config.Client.Token(call, x.fill(caller, asked))
	if err != nil {
		return nil, err
	}
	checked, err := x.accept(caller, asked, answer)
	if err != nil {
		return nil, err
	}
	issued, life := x.issue(checked)
	now := x.config.Now()
	x.state.memory.succeeded(x.target, now)
	if now.Before(life.freshUntil) {
		x.state.put(key, &entry{
			issued:     issued.reused(),
			freshUntil: life.freshUntil,
			keepUntil:  life.keepUntil,
			life:       life.keepUntil.Sub(now),
		})
	}
	return issued, nil
}

// fill makes the form of one request.
func (x *Exchanger) fill(caller Caller, asked []string) url.Values {
	form := make(url.Values, len(x.form)+2)
	maps.Copy(form, x.form)
	form.Set("subject_token", caller.Raw.Reveal())
	if len(asked) > 0 {
		form.Set("scope", strings.Join(asked, " "))
	}
	return form
}
