package admin

import (
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/sts"
)

// defaultLife is how long a revocation is kept where nothing tells how long the
// tokens live that it is about.
const defaultLife = 30 * 24 * time.Hour

// eventSource is what revocation.Event.By says of orders that came this way.
const eventSource = revocation.ByOperator

// DerivedLife is how much longer than a token what the gateway made of it can be good:
// it may be made at the last moment, and whoever takes it may have a clock behind.
const DerivedLife = exchange.MaxLifetime + config.MaxLeeway

// event makes an order the event that the log gets.
func (o *order) event(issuers Issuers, now time.Time) (revocation.Event, error) {
	event := revocation.Event{Kind: o.kind, Value: o.named(), At: now, Reason: o.reason, By: eventSource}
	var issuer Issuer
	var ends time.Time // of the one token, as far as it says
	var err error
	if o.token.IsZero() {
		issuer, err = issuers.find(o.issuer)
	} else {
		issuer, ends, err = o.ofToken(&event, issuers)
	}
	if err != nil {
		return event, err
	}
	event.Issuer = issuer.URL
	if event.Before, err = o.issuedBefore(now); err != nil {
		return event, err
	}
	if event.Until, err = o.kept(&event, issuer, ends, now); err != nil {
		return event, err
	}
	err = event.Fits() // before any store is asked
	return event, err
}

// named is what the event names. The value of a token is a digest already.
func (o *order) named() string {
	if o.kind == revocation.KindToken {
		return o.value
	}
	return revocation.ValueOf(o.value)
}

// ofToken fills in what a token is named by, and finds its issuer and its end.
func (o *order) ofToken(event *revocation.Event, issuers Issuers) (issuer Issuer, ends time.Time, err error) {
	event.Kind, event.Value = revocation.KindToken, revocation.DigestValue(o.token.Essence())
	if strings.HasPrefix(o.token.Reveal(), sts.ReferencePrefix) {
		return issuer, ends, bad("token", "a reference of token_service: revoke it at its endpoint revoke, or by the jti that its endpoint introspect tells")
	}
	raw := issuers.opened(o.token)
	event.Value = revocation.DigestValue(raw.Essence())
	said, ok := readTold(raw)
	if !ok {
		issuer, err = issuers.of(o.token, o.issuer)
		return issuer, ends, err
	}
	if said.issuer == "" {
		return issuer, ends, bad("token", "a JWT without iss: no issuer's tokens look so")
	}
	if issuer, err = issuers.find(said.issuer); err != nil {
		return issuer, ends, err
	}
	if o.issuer != "" {
		named, err := issuers.find(o.issuer)
		if err != nil {
			return issuer, ends, err
		}
		if named.URL != issuer.URL {
			return issuer, ends, bad("issuer", "the token is of another issuer: leave issuer out")
		}
	}
	if said.id != "" {
		event.Kind, event.Value = revocation.KindID, revocation.ValueOf(said.id)
	}
	return issuer, said.ends, nil
}

// issuedBefore is up to when tokens must have been issued to be revoked, zero for no
// such bound. By default whoever logs in again has good tokens at once; a stolen key
// signs with any date, and a session that ended issues no good token again.
func (o *order) issuedBefore(now time.Time) (time.Time, error) {
	switch {
	case o.before == "now":
		return now, nil
	case o.before != "":
		at, err := time.Parse(time.RFC3339, o.before)
		if err != nil {
			return at, bad("before", "neither now nor a time such as 2027-01-31T12:00:00Z")
		}
		if at.Unix() < 0 {
			return at, bad("before", tooEarly)
		}
		if at.After(now.Add(maxAhead)) {
			return at, bad("before", "it lies in the future: write all to revoke what is yet to be issued as well")
		}
		return at, nil
	case o.all:
		return time.Time{}, nil
	}
	switch o.kind {
	case revocation.KindSubject, revocation.KindClient, revocation.KindIssuer:
		return now, nil
	default:
		return time.Time{}, nil
	}
}

// kept is until when the event is kept: as long as a token that it is about can be
// good, or what was derived from one.
func (o *order) kept(event *revocation.Event, issuer Issuer, ends, now time.Time) (time.Time, error) {
	until := o.until
	switch {
	case o.life > 0:
		return now.Add(o.life), nil
	case !until.IsZero():
		return until, o.checkUntil(now)
	case !ends.IsZero():
		// Nobody has verified what it says of its end: a forgery with the name of a token
		// that lives longer must not let that one come back.
		// What is derived from it ends with it.
		if until = ends.Add(config.MaxLeeway); until.After(now.Add(maxLife)) {
			until = now.Add(maxLife)
		}
		if life := now.Add(oneLife(issuer)); life.After(until) {
			until = life
		}
		return until, nil
	case issuer.MaxAge > 0 && !event.Before.IsZero():
		until = event.Before.Add(issuer.MaxAge + issuer.Leeway + DerivedLife)
		if !until.After(now) {
			return until, bad("before", "tokens of then are older than max_token_age: there is nothing to revoke")
		}
		return until, nil
	case issuer.MaxAge > 0 && (event.Kind == revocation.KindID || event.Kind == revocation.KindToken):
		return now.Add(oneLife(issuer)), nil
	default:
		return now.Add(defaultLife), nil
	}
}

// oneLife is how long a token of the issuer's can be good at most from now on, or what
// is derived from it. Its age is counted from its iat, which may lie in the future by the
// leeway, up to a leeway beyond.
func oneLife(issuer Issuer) time.Duration {
	if issuer.MaxAge > 0 {
		return issuer.MaxAge + 2*issuer.Leeway + DerivedLife
	}
	return defaultLife
}

func (o *order) checkUntil(now time.Time) error {
	if !o.until.After(now) {
		return bad("until", "it has passed")
	}
	if o.until.After(now.Add(maxLife)) {
		return bad("until", "it lies more than %d days ahead", maxLife/(24*time.Hour))
	}
	return nil
}
