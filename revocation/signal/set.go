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
	// SETAge is how long after iat a SET is taken: a transmitter keeps what it could not
	// deliver, and what it says is still true then.
	SETAge = 7 * 24 * time.Hour

	maxEvents  = 16
	setPurpose = store.Purpose("security_event_token")
)

var (
	errEvents  = fmt.Errorf("events is not an object with one to %d objects", maxEvents)
	errBoth    = errors.New("it is a logout token as well")
	errNotSET  = errors.New("sub and exp are claims of other tokens (OpenID Shared Signals Framework 1.0, section 4.1)")
	errSubject = errors.New("it has a sub_id, and an event with a subject of its own")
	errNobody  = errors.New("an event lacks its subject")
)

// A SET is a Security Event Token (RFC 8417) of OpenID Shared Signals. Nobody has
// verified it yet.
type SET struct {
	*envelope

	events  map[string]any
	subject any // sub_id, nil if absent
}

// ParseSET reads a SET. Its signature is not verified.
func ParseSET(text string) (*SET, *Refusal) {
	opened, refused := open(text, "secevent+jwt")
	if refused != nil {
		return nil, refused
	}
	value, _ := opened.claims.Get("events")
	events, _ := value.(map[string]any)
	if len(events) == 0 || len(events) > maxEvents {
		return nil, malformed(errEvents)
	}
	for _, payload := range events {
		if _, ok := payload.(map[string]any); !ok {
			return nil, malformed(errEvents)
		}
	}
	switch {
	case events[EventLogout] != nil:
		return nil, Refuse(OutcomeType, errBoth)
	case opened.claims.Has("sub") || opened.claims.Has("exp"):
		return nil, Refuse(OutcomeType, errNotSET)
	}
	read := &SET{envelope: opened, events: events}
	read.subject, _ = opened.claims.Get("sub_id")
	return read, nil
}

// An effect is what an event of a known kind means for tokens.
type effect struct {
	word string
	// revokes tells that tokens of the subject which were issued up to then are no longer
	// good; session, that it is about one session if the subject names one.
	revokes, session bool
	// late tells that iat counts, and not when the event happened: of an account that is
	// gone no token may be left.
	late bool
}

const (
	caep = "https://schemas.openid.net/secevent/caep/event-type/"
	risc = "https://schemas.openid.net/secevent/risc/event-type/"
	ssf  = "https://schemas.openid.net/secevent/ssf/event-type/"

	eventVerification = ssf + "verification"
)

// effects are the events that are acted upon. All others are acknowledged.
var effects = map[string]effect{
	caep + "session-revoked":     {word: "session-revoked", revokes: true, session: true},
	caep + "credential-change":   {word: "credential-change", revokes: true},
	caep + "token-claims-change": {word: "token-claims-change", revokes: true},
	risc + "sessions-revoked":    {word: "sessions-revoked", revokes: true},
	risc + "account-disabled":    {word: "account-disabled", revokes: true, late: true},
	risc + "account-purged":      {word: "account-purged", revokes: true, late: true},
	eventVerification:            {word: "verification"},
	ssf + "stream-updated":       {word: "stream-updated"},
}

const otherEvent = "other"

// read finds what the events revoke. Nothing is done before all of them were read.
func (s *SET) read(source *Source, receipt *Receipt) (targets []target, refused *Refusal) {
	for name, payload := range s.events {
		members, _ := payload.(map[string]any)
		known, ok := effects[name]
		if !ok {
			known.word = otherEvent
		}
		receipt.Events = append(receipt.Events, known.word)
		if name == eventVerification {
			receipt.Verification = true
			receipt.State, _ = members["state"].(string)
		}
		if !known.revokes {
			continue
		}
		found, refused := s.targets(source, known, members)
		if refused != nil {
			return nil, refused
		}
		if len(found) == 0 {
			receipt.Outcome = OutcomeUnmatched
		}
		targets = append(targets, found...)
	}
	return targets, nil
}

// targets are what one event revokes.
func (s *SET) targets(source *Source, known effect, event map[string]any) ([]target, *Refusal) {
	subject := s.subject
	// Before sub_id, drafts had the subject in the event.
	if inner, ok := event["subject"]; ok {
		if subject != nil {
			return nil, malformed(errSubject)
		}
		subject = inner
	}
	members, ok := subject.(map[string]any)
	if !ok {
		return nil, malformed(errNobody)
	}
	reader := subjectReader{source: source, before: s.issuedAt, session: known.session}
	if at, err := date(event["event_timestamp"]); err == nil && at.Before(s.issuedAt) && !known.late {
		reader.before = at
	}
	return reader.read(members)
}

// SET takes the text of a Security Event Token.
func (r *Receiver) SET(ctx context.Context, text string) (Receipt, *Refusal) {
	var receipt Receipt
	read, refused := ParseSET(text)
	if refused != nil {
		return receipt, refused
	}
	source, refused := read.from(r.transmitters)
	if refused != nil {
		return receipt, refused
	}
	if refused := read.check(source, r.config.Now(), SETAge); refused != nil {
		return receipt, refused
	}
	if refused := read.verify(ctx, source); refused != nil {
		return receipt, refused
	}
	receipt.Issuer, receipt.ID = read.issuer, read.id
	targets, refused := read.read(source, &receipt)
	if refused != nil {
		return receipt, refused
	}
	unmatched := receipt.Outcome == OutcomeUnmatched
	if refused := r.revoke(ctx, &receipt, receipt.reason(), source, targets); refused != nil {
		return receipt, refused
	}
	if unmatched {
		receipt.Outcome = OutcomeUnmatched
	}
	refused = r.acknowledge(ctx, &receipt, read.envelope, source)
	return receipt, refused
}

// acknowledge marks a SET as received. A transmitter that did not hear the answer to
// the first sends it again: it is acknowledged once more, and did nothing more.
func (r *Receiver) acknowledge(ctx context.Context, receipt *Receipt, e *envelope, source *Source) *Refusal {
	fresh, refused := r.use(ctx, setPurpose, e, source, SETAge)
	if refused == nil && !fresh {
		receipt.Outcome, receipt.Revoked, receipt.Verification = OutcomeRepeated, nil, false
	}
	return refused
}

// reason is what the list says of why.
func (r *Receipt) reason() string {
	if len(r.Events) == 1 {
		return r.Events[0]
	}
	return fmt.Sprintf("%d events", len(r.Events))
}

var _ Revoker = (*revocation.State)(nil)
