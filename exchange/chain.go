package exchange

import (
	"context"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// chain runs the legs one after another and returns the last one's answer.
//
// What an earlier leg got may come from the memory, and may have ended at its
// server meanwhile or be good only once. So if a later leg refuses a remembered
// one, it is dropped and the legs run once more.
func (x *Exchanger) chain(ctx context.Context, caller Caller) (*grant, *Error) {
	checked, remembered, failure := x.run(ctx, caller)
	if failure == nil || failure.Leg < 2 || len(remembered) == 0 || !failure.aboutSubject() {
		return checked, x.blame(failure)
	}
	for key, issued := range remembered {
		x.state.drop(key, issued)
	}
	checked, _, failure = x.run(ctx, caller)
	again := failure != nil && failure.Leg > 1 && failure.aboutSubject()
	if failure = x.blame(failure); again {
		failure.settled = true
	}
	return checked, failure
}

// aboutSubject tells whether a refusal may be about the token that was sent.
func (e *Error) aboutSubject() bool {
	return e.ASCode == "invalid_grant" || e.ASCode == "invalid_request"
}

// blame says whose fault the refusal of a later leg's subject is: the caller never
// saw that token and can do nothing about it.
func (x *Exchanger) blame(failure *Error) *Error {
	if failure == nil || failure.Leg < 2 || failure.Outcome != OutcomeSubjectRejected {
		return failure
	}
	blamed := newError(OutcomeConfig, failure.cause)
	blamed.Leg, blamed.ASStatus, blamed.ASCode = failure.Leg, failure.ASStatus, failure.ASCode
	return blamed
}

// run feeds each leg with what the one before it got. remembered are the results
// that were not asked for anew.
func (x *Exchanger) run(ctx context.Context, caller Caller) (*grant, map[cacheKey]*Issued, *Error) {
	subject := caller.Raw
	remembered := make(map[cacheKey]*Issued)
	for _, leg := range x.legs[:len(x.legs)-1] {
		key := x.legKey(leg, caller)
		if kept := x.state.fresh(key, x.config.Now()); kept != nil {
			remembered[key], subject = kept, kept.Token
			continue
		}
		generation := x.state.begin()
		checked, failure := x.fly(ctx, leg, caller, subject)
		if failure != nil {
			return nil, remembered, failure
		}
		issued, life := x.issue(checked)
		x.keep(key, issued, life, caller, generation)
		subject = issued.Token
	}
	checked, failure := x.fly(ctx, x.last(), caller, subject)
	return checked, remembered, failure
}

// legKey names what a leg before the last gets for this caller.
func (x *Exchanger) legKey(upTo *leg, caller Caller) cacheKey {
	var asked []string
	for _, leg := range x.legs[:upTo.number] {
		asked = append(leg.ask(asked, caller.Token), "")
	}
	return x.state.keys.key(&upTo.settings, x.digest(caller), asked, x.bound(caller.Token))
}

// fly makes the request of one leg and judges its answer.
func (x *Exchanger) fly(ctx context.Context, l *leg, caller Caller, subject token.Raw) (*grant, *Error) {
	if known := x.state.leftAlone(l.target, x.sentFor(caller), x.config.Now()); known != nil {
		return nil, known
	}
	checked, err := x.askInTurn(ctx, l, caller, subject)
	if err == nil {
		x.state.memory.succeeded(l.target, x.config.Now())
		if l.sendsBound(caller) {
			x.state.memory.succeeded(l.boundTarget(), x.config.Now())
		}
		x.state.faults.learn(l.target, x.sentFor(caller), nil, true, x.config.Now())
		return checked, nil
	}
	failure := x.failed(ctx, l, caller, err)
	if len(x.legs) > 1 {
		failure.Leg = l.number
	}
	now := x.config.Now()
	works := x.state.memory.works(l.target, now)
	x.state.faults.learn(l.target, x.sentFor(caller), failure, works, now)
	x.state.pauses.learn(l.target, x.sentFor(caller), failure, works, now)
	return nil, failure
}

// leftAlone returns why a server is not asked for this caller now, nil if it is.
func (s *State) leftAlone(target fingerprint, who subject, now time.Time) *Error {
	if known := s.faults.find(target, now); known != nil {
		return known
	}
	return s.pauses.find(target, who, now)
}

// sentFor is whose token is sent, or was where the legs began; zero if nobody's.
func (x *Exchanger) sentFor(caller Caller) subject {
	if x.AsGateway() {
		return subject{}
	}
	return subjectOf(caller.Token)
}

// askInTurn is ask, once it is this exchange's turn.
func (x *Exchanger) askInTurn(ctx context.Context, l *leg, caller Caller, subject token.Raw) (*grant, error) {
	if err := l.turns.Enter(ctx); err != nil {
		return nil, err
	}
	defer l.turns.Leave()
	return x.ask(ctx, l, caller, subject)
}

func (x *Exchanger) ask(ctx context.Context, l *leg, caller Caller, subject token.Raw) (*grant, error) {
	actor, err := x.actor(ctx, l)
	if err != nil {
		return nil, err
	}
	if !x.AsGateway() && (l.number == 1 || actor != nil) {
		if err := checkDelegation(caller.Token, actor, x.actors); err != nil {
			return nil, err
		}
	}
	asked := l.ask(nil, caller.Token)
	// An assertion may be good once (RFC 7523, section 3): it is not sent again.
	answer, err := x.post(ctx, l, l.fill(subject, actor, asked), l.Grant != GrantJWTBearer)
	if err != nil {
		return nil, err
	}
	return x.accept(ctx, &grant{
		leg: l, caller: caller, subject: subject, actor: actor, asked: asked, answer: answer,
	})
}
