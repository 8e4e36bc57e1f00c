package signal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
)

const (
	// LogoutAge is how long after iat a logout token is taken. Providers send it at
	// once, and the specification recommends a life of two minutes.
	LogoutAge = 5 * time.Minute

	// EventLogout is the member of events that makes a token a logout token.
	EventLogout = "http://schemas.openid.net/event/backchannel-logout"

	logoutPurpose = store.Purpose("logout_token")
	logoutWord    = "backchannel-logout"
)

var (
	errNonce        = errors.New("a logout token has no nonce: this is an ID token, or made to look like one")
	errLogoutEvents = fmt.Errorf("events is not one object %s", EventLogout)
	errWhom         = errors.New("neither sub nor sid says who is logged out")
	errExpired      = errors.New("exp has passed, or is not a date")
	errUsed         = errors.New("the jti was used before")
)

// A LogoutToken says that a session, or all of a subject's, ended at the provider
// (OpenID Connect Back-Channel Logout 1.0, section 2.4). Nobody has verified it yet.
type LogoutToken struct {
	*envelope

	// Subject and Session are sub and sid, "" if absent; one of them is there.
	Subject, Session string
	expiry           time.Time // zero if absent
}

// ParseLogoutToken reads a logout token by the steps of section 2.6 that need nothing
// but the token. Its signature is not verified.
func ParseLogoutToken(text string) (*LogoutToken, *Refusal) {
	// Section 2.4 recommends the type; JWT and none are those of older providers.
	opened, refused := open(text, "logout+jwt", "jwt", "")
	if refused != nil {
		return nil, refused
	}
	read := &LogoutToken{envelope: opened}
	switch {
	case opened.claims.Has("nonce"):
		return nil, Refuse(OutcomeType, errNonce)
	case !isLogout(opened):
		return nil, Refuse(OutcomeType, errLogoutEvents)
	}
	for _, claim := range []struct {
		name string
		to   *string
	}{{"sub", &read.Subject}, {"sid", &read.Session}} {
		text, ok := opened.claims.Text(claim.name)
		if opened.claims.Has(claim.name) && (!ok || text == "") {
			return nil, malformed(fmt.Errorf("%s is not a text", claim.name))
		}
		*claim.to = text
	}
	if read.Subject == "" && read.Session == "" {
		return nil, malformed(errWhom)
	}
	expiry, _, err := dateOf(opened.claims, "exp")
	if err != nil {
		return nil, malformed(errExpired)
	}
	read.expiry = expiry
	return read, nil
}

// isLogout wants the event of a logout and no other: what says two things was made
// for somebody else.
func isLogout(e *envelope) bool {
	value, _ := e.claims.Get("events")
	events, ok := value.(map[string]any)
	if !ok || len(events) != 1 {
		return false
	}
	_, ok = events[EventLogout].(map[string]any)
	return ok
}

// check holds the token against its source and the clock. Providers from before exp
// was required leave it out; iat bounds their tokens, and more narrowly.
func (t *LogoutToken) check(source *Source, now time.Time) *Refusal {
	if refused := t.envelope.check(source, now, LogoutAge); refused != nil {
		return refused
	}
	if !t.expiry.IsZero() && !now.Before(t.expiry.Add(source.Leeway)) {
		return Refuse(OutcomeTime, errExpired)
	}
	return nil
}

// target is what the token revokes: of the session alone if it names one, else all
// of the subject's tokens up to then.
func (t *LogoutToken) target() target {
	if t.Session != "" {
		return target{kind: revocation.KindSession, value: t.Session}
	}
	return target{kind: revocation.KindSubject, value: t.Subject, before: t.issuedAt}
}

// Logout takes the text of a logout token.
func (r *Receiver) Logout(ctx context.Context, text string) (Receipt, *Refusal) {
	receipt := Receipt{Events: []string{logoutWord}}
	read, refused := ParseLogoutToken(text)
	if refused != nil {
		return receipt, refused
	}
	source, refused := read.from(r.providers)
	if refused != nil {
		return receipt, refused
	}
	if refused := read.check(source, r.config.Now()); refused != nil {
		return receipt, refused
	}
	if refused := read.verify(ctx, source); refused != nil {
		return receipt, refused
	}
	receipt.Issuer, receipt.ID = read.issuer, read.id
	if refused := r.revoke(ctx, &receipt, logoutWord, source, []target{read.target()}); refused != nil {
		return receipt, refused
	}
	fresh, refused := r.use(ctx, logoutPurpose, read.envelope, source, LogoutAge)
	switch {
	case refused != nil:
		return receipt, refused
	case !fresh:
		receipt.Revoked = nil // by the first one
		return receipt, Refuse(OutcomeReplayed, errUsed)
	}
	return receipt, nil
}
