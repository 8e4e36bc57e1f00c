package signal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

// A KeySource finds the keys of one issuer; see keys.Source.
type KeySource interface {
	// Find returns the keys that may have made a signature. Errors: keys.ErrUnknown,
	// keys.ErrUnavailable or the context's.
	Find(ctx context.Context, kid string, alg jose.Algorithm) ([]*jose.Key, error)
}

// A Source is an issuer whose word is taken, about tokens of its own alone.
type Source struct {
	// URL is the iss claim, compared character for character.
	URL string
	// Keys are the issuer's keys.
	Keys KeySource
	// Algorithms are those that it may sign with: asymmetric ones.
	Algorithms []jose.Algorithm
	// Audience are who the tokens may be for: aud must name one of them.
	Audience []string
	// Leeway is how far the clocks may be apart.
	Leeway time.Duration
	// MaxAge is how long after iat a token of the issuer's, or what is derived from it,
	// can be good at most. Default: nobody knows.
	MaxAge time.Duration
	// NamesByEmail tells that the issuer's subjects are e-mail addresses.
	NamesByEmail bool
}

const (
	maxID     = 256
	farFuture = 253402300799 // the end of year 9999
)

var (
	errSource    = errors.New("iss is no issuer that is listened to here")
	errType      = errors.New("typ is that of another kind of token")
	errAlgorithm = errors.New("alg is not accepted")
	errIssued    = errors.New("iat is absent or not a date")
	errID        = fmt.Errorf("jti is absent, or longer than %d octets", maxID)
	errAudience  = errors.New("aud does not name us")
	errOld       = errors.New("iat is too long ago")
	errFuture    = errors.New("iat lies in the future")
	errSignature = errors.New("no key of the issuer made the signature")
)

// An envelope is a token that nobody has verified yet, as far as all kinds are alike.
type envelope struct {
	jws      *jose.JWS
	claims   jose.Object
	issuer   string
	id       string
	issuedAt time.Time
	audience []string
}

func malformed(err error) *Refusal { return Refuse(OutcomeMalformed, err) }

// open reads a token of one of these types, in lower case and without application/.
func open(text string, types ...string) (*envelope, *Refusal) {
	if len(text) > maxToken {
		return nil, malformed(errLong)
	}
	jws, err := jose.ParseJWS(text)
	if err != nil {
		return nil, malformed(err)
	}
	if !slices.Contains(types, strings.TrimPrefix(strings.ToLower(jws.Header.Type), "application/")) {
		return nil, Refuse(OutcomeType, errType)
	}
	e := &envelope{jws: jws}
	if e.claims, err = jose.ReadObject(jws.Payload); err != nil {
		return nil, malformed(err)
	}
	e.issuer, _ = e.claims.Text("iss")
	e.id, _ = e.claims.Text("jti")
	e.audience = textsOf(e.claims, "aud")
	var found bool
	if e.issuedAt, found, err = dateOf(e.claims, "iat"); err != nil || !found {
		return nil, malformed(errIssued)
	}
	if e.id == "" || len(e.id) > maxID {
		return nil, malformed(errID)
	}
	return e, nil
}

// textsOf reads a text or a list of texts; of anything else there is none.
func textsOf(claims jose.Object, name string) []string {
	value, _ := claims.Get(name)
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		texts := make([]string, 0, len(value))
		for _, element := range value {
			text, ok := element.(string)
			if !ok {
				return nil
			}
			texts = append(texts, text)
		}
		return texts
	default:
		return nil
	}
}

// dateOf reads a NumericDate.
func dateOf(claims jose.Object, name string) (at time.Time, found bool, err error) {
	value, found := claims.Get(name)
	if !found {
		return time.Time{}, false, nil
	}
	at, err = date(value)
	return at, true, err
}

func date(value any) (time.Time, error) {
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > farFuture {
		return time.Time{}, errors.New("not a date")
	}
	return time.Unix(int64(seconds), 0), nil
}

// from finds the source that the token says it is of, which its signature must show.
func (e *envelope) from(sources map[string]*Source) (*Source, *Refusal) {
	source := sources[e.issuer]
	if source == nil {
		return nil, Refuse(OutcomeIssuer, errSource)
	}
	return source, nil
}

// check looks at what is alike in all kinds. maxAge is how long after iat the token is
// taken.
func (e *envelope) check(source *Source, now time.Time, maxAge time.Duration) *Refusal {
	switch {
	case !slices.ContainsFunc(e.audience, func(aud string) bool { return slices.Contains(source.Audience, aud) }):
		return Refuse(OutcomeAudience, errAudience)
	case e.issuedAt.After(now.Add(source.Leeway)):
		return Refuse(OutcomeTime, errFuture)
	case now.After(e.issuedAt.Add(maxAge + source.Leeway)):
		return Refuse(OutcomeTime, errOld)
	}
	return nil
}

// verify wants the signature of one of the issuer's keys. The algorithm is the key's
// and the configuration's, never the token's alone.
func (e *envelope) verify(ctx context.Context, source *Source) *Refusal {
	alg := jose.Algorithm(e.jws.Header.Algorithm)
	if !slices.Contains(source.Algorithms, alg) {
		return Refuse(OutcomeKey, errAlgorithm)
	}
	found, err := source.Keys.Find(ctx, e.jws.Header.KeyID, alg)
	switch {
	case errors.Is(err, keys.ErrUnavailable):
		return Refuse(OutcomeNoKeys, err)
	case errors.Is(err, keys.ErrUnknown):
		return Refuse(OutcomeKey, err)
	case err != nil:
		return Refuse(OutcomeGone, err)
	}
	for _, key := range found {
		if e.jws.VerifyWith(key, alg) == nil {
			return nil
		}
	}
	return Refuse(OutcomeSignature, errSignature)
}
