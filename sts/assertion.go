package sts

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
	"github.com/caddy-gatehouse/gatehouse/store"
)

// Bounds of client assertions.
const (
	// assertionLeeway is how far the clocks may be apart.
	assertionLeeway = 30 * time.Second
	// maxAssertionLife is how far away exp may lie: an assertion is made for one
	// request, and each is remembered for as long.
	maxAssertionLife = 5 * time.Minute
	maxAssertionID   = 256
	farFuture        = 253402300799 // the end of year 9999

	assertionPurpose = store.Purpose("client_assertion")
)

// assertionTypes are the typ headers of a client assertion, in lower case and
// without application/. None at all is what most libraries write. What has the type
// of something else was made for something else (RFC 8725, section 3.11).
var assertionTypes = []string{"client-authentication+jwt", "jwt", ""}

var (
	errAssertionType = errors.New("client_assertion_type is not that of a JWT")
	errAssertion     = errors.New("client assertion")
)

func badAssertion(format string, values ...any) *Error {
	return refuse(OutcomeClient, fmt.Errorf("%w: "+format, append([]any{errAssertion}, values...)...))
}

// byAssertion proves the client by a JWT that it signed (RFC 7523, section 3). What
// the JWT says before its signature is checked only chooses the client.
func (s *Service) byAssertion(ctx context.Context, r *request) (*Client, *Error) {
	text := r.form.get(paramAssertion)
	switch {
	case r.form.get(paramAssertionType) != assertionType:
		return nil, refuse(OutcomeClient, errAssertionType)
	case len(text) > maxToken:
		return nil, badAssertion("longer than %d octets", maxToken)
	}
	jws, err := jose.ParseJWS(text)
	if err != nil {
		return nil, badAssertion("%w", err)
	}
	claims, err := jose.ReadObject(jws.Payload)
	if err != nil {
		return nil, badAssertion("%w", err)
	}
	client, refused := s.asserted(r, claims)
	if refused != nil {
		return nil, refused
	}
	proof, refused := s.checkAssertion(jws, claims)
	if refused != nil {
		return nil, refused
	}
	if refused := verifyAssertion(ctx, client, jws); refused != nil {
		return nil, refused
	}
	return client, s.use(ctx, client, proof)
}

// asserted chooses the client: iss and sub are its identifier.
func (s *Service) asserted(r *request, claims jose.Object) (*Client, *Error) {
	issuer, _ := claims.Text("iss")
	subject, _ := claims.Text("sub")
	client, named := s.clients[issuer], r.form.get(paramClient)
	switch {
	case issuer == "" || issuer != subject:
		return nil, badAssertion("iss and sub are not one client")
	case named != "" && named != issuer:
		return nil, refuse(OutcomeClient, errOtherName)
	case client == nil:
		return nil, refuse(OutcomeClient, errUnknown)
	case client.Auth.Keys == nil:
		return nil, refuse(OutcomeClient, errOtherWay)
	}
	return client, nil
}

// single is what makes an assertion good once: its identifier, and until when it
// is good.
type single struct {
	id    string
	until time.Time
}

// checkAssertion looks at what an assertion says. Its audience is this issuer and
// nobody else: one that another server could use as well is one that it could play
// on to us.
func (s *Service) checkAssertion(jws *jose.JWS, claims jose.Object) (single, *Error) {
	kind := strings.TrimPrefix(strings.ToLower(jws.Header.Type), "application/")
	if !slices.Contains(assertionTypes, kind) {
		return single{}, badAssertion("typ is that of another kind of token")
	}
	if !s.isSoleAudience(claims) {
		return single{}, badAssertion("aud is not this issuer alone")
	}
	now := s.config.Now()
	expiry, found, err := dateOf(claims, "exp")
	switch {
	case err != nil || !found:
		return single{}, badAssertion("exp is absent or not a date")
	case !now.Before(expiry.Add(assertionLeeway)):
		return single{}, badAssertion("it has expired")
	case expiry.After(now.Add(maxAssertionLife + assertionLeeway)):
		return single{}, badAssertion("it lives longer than %s", maxAssertionLife)
	}
	for _, name := range []string{"iat", "nbf"} {
		from, _, err := dateOf(claims, name)
		if err != nil || from.After(now.Add(assertionLeeway)) {
			return single{}, badAssertion("%s is not a date, or lies in the future", name)
		}
	}
	id, _ := claims.Text("jti")
	if id == "" || len(id) > maxAssertionID {
		return single{}, badAssertion("jti is absent, or longer than %d octets", maxAssertionID)
	}
	return single{id: id, until: expiry.Add(assertionLeeway)}, nil
}

func (s *Service) isSoleAudience(claims jose.Object) bool {
	value, _ := claims.Get("aud")
	if list, ok := value.([]any); ok && len(list) == 1 {
		value = list[0]
	}
	return value == any(s.config.Issuer)
}

// dateOf reads a NumericDate; without one the result is zero.
func dateOf(claims jose.Object, name string) (at time.Time, found bool, err error) {
	value, found := claims.Get(name)
	if !found {
		return time.Time{}, false, nil
	}
	number, _ := value.(json.Number)
	seconds, err := number.Float64()
	if err != nil || math.IsNaN(seconds) || seconds < 0 || seconds > farFuture {
		return time.Time{}, true, errors.New("not a date")
	}
	return time.Unix(int64(seconds), 0), true, nil
}

// verifyAssertion wants the signature of one of the client's keys. The algorithm is
// the key's.
func verifyAssertion(ctx context.Context, client *Client, jws *jose.JWS) *Error {
	alg := jose.Algorithm(jws.Header.Algorithm)
	if !slices.Contains(jose.Asymmetric(), alg) {
		return badAssertion("alg is not accepted")
	}
	found, err := client.Auth.Keys.Find(ctx, jws.Header.KeyID, alg)
	switch {
	case errors.Is(err, keys.ErrUnavailable):
		return refuse(OutcomeUnavailable, fmt.Errorf("%w: the client's keys: %w", errAssertion, err))
	case ctx.Err() != nil:
		return refuse(OutcomeGone, ctx.Err())
	case err != nil:
		return badAssertion("the client's keys: %w", err)
	}
	for _, key := range found {
		if jws.VerifyWith(key, alg) == nil {
			return nil
		}
	}
	return badAssertion("the signature is not the client's")
}

// use uses an assertion up, in one step that tells whether it was used before. It
// comes last: nobody without the client's key fills the store.
func (s *Service) use(ctx context.Context, client *Client, proof single) *Error {
	// The length parts client from identifier, whatever is in them.
	id := fmt.Sprintf("%d:%s%s", len(client.ID), client.ID, proof.id)
	fresh, err := s.config.Marks.Mark(ctx, assertionPurpose, id, proof.until)
	switch {
	case errors.Is(err, store.ErrFull):
		return refuse(OutcomeTooMany, err)
	case err != nil && ctx.Err() != nil:
		return refuse(OutcomeGone, err)
	case err != nil:
		return refuse(OutcomeUnavailable, err)
	case !fresh:
		return badAssertion("it was used before")
	}
	return nil
}
