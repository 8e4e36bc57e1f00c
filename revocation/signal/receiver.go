package signal

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// Life is how long a revocation by a signal is kept where nothing says how long tokens
// live: none that was good when it came should live longer.
const Life = 30 * 24 * time.Hour

// A Revoker puts events on the list of revocations; see revocation.State.
type Revoker interface {
	// Revoke returns without an error once every node will learn of the event. An event
	// with an ID that is known already changes nothing.
	Revoke(ctx context.Context, event revocation.Event) (revocation.Event, error)
}

// Config shapes a Receiver.
type Config struct {
	// Providers may log out, and Transmitters push signals. The URLs of each are
	// distinct.
	Providers, Transmitters []*Source
	// Revoker takes what is no longer good. Required.
	Revoker Revoker
	// Marks remember which tokens came. Required.
	Marks store.Marks
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// A Receiver takes signals. It is immutable and safe for concurrent use.
type Receiver struct {
	config                  Config
	providers, transmitters map[string]*Source
}

// NewReceiver makes a receiver.
func NewReceiver(config Config) (*Receiver, error) {
	if config.Revoker == nil || config.Marks == nil {
		return nil, errors.New("signals need a store")
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Receiver{config: config, providers: byURL(config.Providers), transmitters: byURL(config.Transmitters)}, nil
}

func byURL(sources []*Source) map[string]*Source {
	known := make(map[string]*Source, len(sources))
	for _, source := range sources {
		known[source.URL] = source
	}
	return known
}

// A Receipt is what is known of a signal. Issuer and ID are of one whose signature was
// verified, "" of any other.
type Receipt struct {
	Outcome    Outcome
	Issuer, ID string
	// Events are the short names of what it says that are known, and other.
	Events []string
	// Verification tells that a transmitter checks its stream, and State is what it
	// wants to see again in the log.
	Verification bool
	State        string
	// Revoked is what is on the list by it.
	Revoked []revocation.Event
}

// ReceiveLogout takes a request to the logout endpoint.
func (r *Receiver) ReceiveLogout(request *http.Request) (Receipt, *Refusal) {
	text, refused := readLogoutToken(request)
	if refused != nil {
		return Receipt{}, refused
	}
	return r.Logout(request.Context(), text)
}

// ReceiveSET takes a request to the endpoint for pushed signals.
func (r *Receiver) ReceiveSET(request *http.Request) (Receipt, *Refusal) {
	text, refused := readSET(request)
	if refused != nil {
		return Receipt{}, refused
	}
	return r.SET(request.Context(), text)
}

// A target is what a signal revokes.
type target struct {
	kind   revocation.Kind
	value  string
	before time.Time
}

// life is how long the event is kept. A bound of the age of tokens ends it sooner where
// it is about tokens that were issued already, and not where more may come: a session
// has no end that anybody knows of.
func (t target) life(source *Source) time.Duration {
	switch {
	case source.MaxAge > 0 && t.kind == revocation.KindID:
		return source.MaxAge + 2*source.Leeway // its iat may lie in the future by one
	case source.MaxAge > 0 && !t.before.IsZero():
		return source.MaxAge + source.Leeway
	}
	return Life
}

// revoke puts targets on the list. It comes before the token is marked as used: a
// sender whose signal failed half-way sends it again, and must not find it used up.
// The events are named by what they say, so that none is there twice.
func (r *Receiver) revoke(ctx context.Context, receipt *Receipt, reason string, source *Source, targets []target) *Refusal {
	receipt.Outcome = OutcomeNoted
	now := r.config.Now()
	for _, one := range targets {
		event, err := r.config.Revoker.Revoke(ctx, revocation.Event{
			ID: eventID(receipt, one), Kind: one.kind, Issuer: receipt.Issuer, Value: revocation.ValueOf(one.value),
			Before: one.before, Until: now.Add(one.life(source)), Reason: reason, By: "token_events",
		})
		switch {
		case errors.Is(err, revocation.ErrInvalid):
			return malformed(err)
		case err != nil:
			return unavailable(ctx, err)
		}
		receipt.Revoked = append(receipt.Revoked, event)
		receipt.Outcome = OutcomeRevoked
	}
	return nil
}

// eventID names a revocation by the token it comes from and by what it says. Each
// part stands behind its length.
func eventID(receipt *Receipt, what target) string {
	hash := sha256.New()
	for _, part := range []string{receipt.Issuer, receipt.ID, string(what.kind), what.value, what.before.UTC().String()} {
		_, _ = fmt.Fprintf(hash, "%d:%s", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:16])
}

// use marks a token as used and tells whether it was not yet. It comes last: nobody
// without the issuer's key fills the store.
func (r *Receiver) use(ctx context.Context, purpose store.Purpose, e *envelope, source *Source, maxAge time.Duration) (bool, *Refusal) {
	id := fmt.Sprintf("%d:%s%s", len(e.issuer), e.issuer, e.id)
	// It is taken up to that very second.
	until := e.issuedAt.Add(maxAge + source.Leeway + time.Second)
	fresh, err := r.config.Marks.Mark(ctx, purpose, id, until)
	if err != nil {
		return false, unavailable(ctx, err)
	}
	return fresh, nil
}

func unavailable(ctx context.Context, err error) *Refusal {
	if ctx.Err() != nil {
		return Refuse(OutcomeGone, err)
	}
	return Refuse(OutcomeUnavailable, err)
}
