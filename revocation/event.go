package revocation

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A Kind says what an event is about.
type Kind string

// The kinds. Each is of one issuer, and Value names the thing.
const (
	// KindToken is one token, by the SHA-256 of its text in base64url: for tokens
	// without jti.
	KindToken Kind = "token"
	// KindID is one token, by jti.
	KindID Kind = "jti"
	// KindSubject is every token of a subject.
	KindSubject Kind = "subject"
	// KindSession is every token of a login session, by sid.
	KindSession Kind = "session"
	// KindClient is every token issued to a client.
	KindClient Kind = "client"
	// KindIssuer is every token of the issuer; Value is empty.
	KindIssuer Kind = "issuer"
	// KindKey is every token signed with a key, by kid.
	KindKey Kind = "key"
)

var kinds = [...]Kind{KindToken, KindID, KindSubject, KindSession, KindClient, KindIssuer, KindKey}

// Bounds of what an event may say, in octets.
const (
	maxText = 1024
	idBytes = 16
)

// An Event says that something is no longer good.
type Event struct {
	// ID names the event, on all nodes. Revoke makes one where it is empty.
	ID string `json:"id"`
	// Kind, Issuer and Value are what is no longer good. Issuer is the iss claim.
	Kind   Kind   `json:"kind"`
	Issuer string `json:"iss"`
	Value  string `json:"val,omitempty"`
	// Before bounds it to tokens issued (iat) at or before that instant, and those
	// that do not say when they were. Zero: all of them, whenever issued.
	Before time.Time `json:"before,omitzero"`
	// Until is when no token that the event is about can still be good, so that it
	// may be forgotten. Required.
	Until time.Time `json:"until"`
	// At is when it was said. Revoke sets it where it is zero.
	At time.Time `json:"at"`
	// Reason is the operator's, for people.
	Reason string `json:"reason,omitempty"`
	// By says where it came from: admin, token_service and the like.
	By string `json:"by,omitempty"`
}

// ErrInvalid says that an event does not say what it must.
var ErrInvalid = errors.New("the revocation is not valid")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// Check finds what is wrong with an event. It wraps ErrInvalid.
func (e *Event) Check() error {
	if !e.Kind.known() {
		return invalid("unknown kind %.20q", e.Kind)
	}
	switch {
	case e.Issuer == "":
		return invalid("the issuer is missing")
	case e.Value == "" && e.Kind != KindIssuer:
		return invalid("what to revoke is missing: a %s", e.Kind)
	case e.Value != "" && e.Kind == KindIssuer:
		return invalid("kind issuer has no value of its own")
	case e.Until.IsZero():
		return invalid("its end is missing")
	}
	for _, text := range []string{e.ID, e.Issuer, e.Value, e.Reason, e.By} {
		if len(text) > maxText {
			return invalid("a text of %d octets: at most %d", len(text), maxText)
		}
	}
	return nil
}

func (k Kind) known() bool {
	for _, kind := range kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// complete fills in what whoever revokes need not say.
func (e *Event) complete(now time.Time) {
	if e.ID == "" {
		e.ID = rand.Text()[:idBytes]
	}
	if e.At.IsZero() {
		e.At = now
	}
}

// encode and decode are an event in the log.
func (e *Event) encode() ([]byte, error) { return json.Marshal(e) }

func decode(data []byte) (*Event, error) {
	event := new(Event)
	if err := json.Unmarshal(data, event); err != nil {
		return nil, invalid("it cannot be read")
	}
	if event.ID == "" {
		return nil, invalid("its name is missing")
	}
	if err := event.Check(); err != nil {
		return nil, err
	}
	return event, nil
}
