package revocation

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// ByOperator is what By says of an operator's order. For such ones alone is the last
// sixteenth of the list: whoever may send signals or revoke its own tokens cannot fill it
// so that an operator can revoke nothing.
const ByOperator = "admin"

// Bounds of what an event may say.
const (
	// MaxLife is how far ahead the end of an event may lie: longer than tokens live,
	// and short enough for a slip to end.
	MaxLife = 400 * 24 * time.Hour
	// maxAhead is how far Before may lie in the future, for an issuer whose clock is
	// ahead.
	maxAhead = 5 * time.Minute
	maxText  = maxName // octets
	idLength = 16
)

// An Event says that something is no longer good.
type Event struct {
	// ID names the event, on all nodes. Revoke makes one where it is empty.
	ID string `json:"id"`
	// Kind, Issuer and Value are what is no longer good. Issuer is the iss claim, and
	// Value is made by ValueOf, or for KindToken by DigestValue.
	Kind   Kind   `json:"kind"`
	Issuer string `json:"iss"`
	Value  string `json:"val,omitempty"`
	// Before bounds it to tokens issued (iat) at or before that instant, and those
	// that do not say when they were. Zero: all of them, whenever issued.
	Before time.Time `json:"before,omitzero"`
	// Until is when no token that the event is about can still be good, so that it
	// may be forgotten. Required; MaxLife ahead at most.
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

// Fits tells whether a store takes the event, its dates aside: it is Check, and how
// long the event is. It wraps ErrInvalid.
func (e *Event) Fits() error {
	if err := e.Check(); err != nil {
		return err
	}
	named := *e
	named.complete(e.At)
	_, err := named.encode()
	return err
}

// Check finds what is wrong with an event, its dates and its length in all aside. It
// wraps ErrInvalid.
func (e *Event) Check() error {
	_, known := e.Kind.index()
	switch {
	case !known:
		return invalid("unknown kind %.20q", e.Kind)
	case e.Issuer == "":
		return invalid("the issuer is missing")
	case e.Value == "" && e.Kind != KindIssuer:
		return invalid("what to revoke is missing: a %s", e.Kind)
	case e.Value != "" && e.Kind == KindIssuer:
		return invalid("kind issuer has no value of its own")
	case e.Kind == KindToken && len(digestIn(e.Value)) != len(token.Digest{}):
		return invalid("a token is named by the SHA-256 of its text in base64url")
	case e.Until.IsZero():
		return invalid("its end is missing")
	case !e.Before.IsZero() && e.Before.Unix() < 0:
		return invalid("it is bound to tokens issued before 1970: there is none")
	}
	for _, text := range []string{e.ID, e.Issuer, e.Value, e.Reason, e.By} {
		if len(text) > maxText {
			return invalid("a text of %d octets: at most %d", len(text), maxText)
		}
		if !utf8.ValidString(text) {
			return invalid("a text that is not UTF-8, and would not be the same on other nodes")
		}
	}
	return nil
}

// checkDates finds dates that cannot be meant. What was believed once is believed
// later on: only whoever revokes is asked so.
func (e *Event) checkDates(now time.Time) error {
	switch {
	case !e.Until.After(now):
		return invalid("its end has passed")
	case e.Until.After(now.Add(MaxLife)):
		return invalid("its end lies more than %d days ahead", MaxLife/(24*time.Hour))
	case e.Before.After(now.Add(maxAhead)):
		return invalid("it is bound to tokens issued before a time in the future: leave that out to mean all")
	}
	return nil
}

// digestIn is the octets of a value that names a token by its digest.
func digestIn(value string) []byte {
	digest, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil
	}
	return digest
}

// complete fills in what whoever revokes need not say.
func (e *Event) complete(now time.Time) {
	if e.ID == "" {
		e.ID = rand.Text()[:idLength]
	}
	if e.At.IsZero() {
		e.At = now
	}
}

// encode is an event in the log.
func (e *Event) encode() ([]byte, error) {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false) // a text of < alone would become six times as long
	err := encoder.Encode(e)
	switch {
	case err != nil:
		return nil, fmt.Errorf("writing a revocation: %w", err)
	case data.Len() > store.MaxRecord:
		return nil, invalid("its texts have %d octets in all: at most %d", data.Len(), store.MaxRecord)
	}
	return bytes.TrimSuffix(data.Bytes(), []byte("\n")), nil
}

// decode reads what encode wrote, on this node or another one. An end beyond all
// measure is cut, so that nothing stays for ever; the event itself counts.
func decode(data []byte, now time.Time) (*Event, error) {
	var written struct {
		Event

		Before *time.Time `json:"before"`
	}
	if err := json.Unmarshal(data, &written); err != nil {
		return nil, invalid("it cannot be read")
	}
	event := &written.Event
	if written.Before != nil {
		// A date that is written is meant, and the first one of all does not mean all.
		if event.Before = *written.Before; event.Before.IsZero() {
			return nil, invalid("it is bound to tokens issued before 1970: there is none")
		}
	}
	if event.ID == "" {
		return nil, invalid("its name is missing")
	}
	if longest := now.Add(MaxLife); event.Until.After(longest) {
		event.Until = longest
	}
	if err := event.Check(); err != nil {
		return nil, err
	}
	return event, nil
}
