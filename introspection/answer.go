package introspection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	// mediaSigned is the media type of a signed answer, and typeSigned the typ of
	// its header (RFC 9701, sections 4 and 5).
	mediaSigned = "application/token-introspection+jwt"
	typeSigned  = "token-introspection+jwt"
	// signedSkew is how far the iat of a signed answer may lie from now. The answer
	// does not name the token it is about, so an old one could be played again.
	signedSkew = 2 * time.Minute
	// provenFor is for how long an answer shows that the request is understood.
	provenFor = 10 * time.Minute
	// retryMost bounds the wait that a server asks for.
	retryMost = time.Minute
)

// What is wrong with an answer, for the operator.
var (
	errActive    = errors.New("active is not a boolean")
	errInactive  = errors.New("the issuer says that it is not active")
	errIssuer    = errors.New("iss is another issuer")
	errMedia     = errors.New("a signed answer that was not asked for")
	errSigned    = errors.New("the answer's signature cannot be believed")
	errSignedAud = errors.New("the signed answer is for another client")
	errSignedIat = errors.New("the signed answer has no iat of just now")
	errSignedHas = errors.New("the signed answer has no token_introspection object")
)

// read judges an answer. Errors are *Error.
func (i *Introspector) read(ctx context.Context, answer *authserver.Answer, about question) (*token.Token, error) {
	now := i.config.Now()
	switch {
	case answer.Status >= http.StatusBadRequest:
		return nil, i.refused(answer.Refusal(now), now)
	case answer.Status != http.StatusOK:
		// Redirects among them: they are never followed.
		return nil, badAnswer(fmt.Errorf("status %d", answer.Status))
	}
	claims, err := i.claims(ctx, answer, now)
	if err != nil {
		return nil, err
	}
	active, present := claims.Get("active")
	good, ok := active.(bool)
	if !present || !ok {
		// "true" is no boolean, and a gateway that reads it as one will some day
		// read "false" as one too.
		return nil, badAnswer(errActive)
	}
	i.config.State.answered(i.shape, now)
	if !good {
		// Nothing else of such an answer means anything.
		return nil, newError(token.Inactive, errInactive)
	}
	return i.translate(claims, answer.SentAt, about)
}

func (i *Introspector) translate(claims token.Claims, asked time.Time, about question) (*token.Token, error) {
	until := asked.Add(max(i.config.CacheTTL, DefaultCacheTTL))
	found, err := token.Introspected(token.Introspection{
		Issuer: i.config.Issuer, Claims: claims, Paths: i.config.Claims,
		Digest: about.raw.Digest(), Essence: about.raw.Essence(), Until: until, JWT: about.jwt,
	})
	switch {
	case err != nil:
		// As in a JWT whose claims cannot be read: it is this token that is no good,
		// and whoever has such a one must not make an outage of it.
		return nil, newError(token.BadClaim, err)
	case found.Issuer != i.config.Issuer:
		// A server that answers for others would lend their tokens its own trust.
		return nil, newError(token.UnknownIssuer, errIssuer)
	}
	return found, nil
}

func badAnswer(cause error) *Error {
	return newError(token.IntrospectionUnavailable, fmt.Errorf("%w: %w", authserver.ErrBadAnswer, cause))
}

// refused reads an answer with an error status. A token that is not good is no
// error (RFC 7662, section 2.2), yet there are servers that answer 400 to a text
// that they cannot read, or say that it is too long or not of their form: where they
// have just understood others, that is about the token, and whoever sends such texts
// gets no 503 out of it.
func (i *Introspector) refused(refusal *authserver.Refusal, now time.Time) *Error {
	if slices.Contains(aboutText, refusal.Status) && !aboutClient(refusal.Code) && i.config.State.proven(i.shape, now) {
		return newError(token.Inactive, refusal)
	}
	failure := newError(token.IntrospectionUnavailable, refusal)
	if refusal.RetryAfter > 0 {
		failure.RetryAfter = min(refusal.RetryAfter, retryMost)
	}
	return failure
}

// aboutText are statuses that may be about the text that was sent.
var aboutText = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}

func aboutClient(code string) bool {
	return code == "invalid_client" || code == "unauthorized_client"
}

// claims reads the members of an answer, signed or not.
func (i *Introspector) claims(ctx context.Context, answer *authserver.Answer, now time.Time) (token.Claims, error) {
	if answer.MediaType == mediaSigned {
		return i.signed(ctx, string(answer.Body), now)
	}
	claims, err := token.ParseClaims(answer.Body)
	if err != nil {
		return token.Claims{}, badAnswer(err)
	}
	return claims, nil
}

// signed reads a signed answer (RFC 9701, section 5). Of the JWT around the
// answer nothing is believed but what says that it is one: it is no access token,
// and its claims are not the token's.
func (i *Introspector) signed(ctx context.Context, body string, now time.Time) (token.Claims, error) {
	if i.config.Keys == nil {
		return token.Claims{}, badAnswer(errMedia)
	}
	jws, err := jose.ParseJWS(body)
	if err != nil {
		return token.Claims{}, badAnswer(err)
	}
	if jws.Header.Type != typeSigned && jws.Header.Type != mediaSigned {
		return token.Claims{}, badAnswer(errors.New("the typ header is not that of a signed answer"))
	}
	if err = i.verify(ctx, jws); err != nil {
		return token.Claims{}, badAnswer(err)
	}
	outer, err := token.ParseClaims(jws.Payload)
	if err != nil {
		return token.Claims{}, badAnswer(err)
	}
	if err = i.checkSigned(outer, now); err != nil {
		return token.Claims{}, badAnswer(err)
	}
	return inner(outer)
}

func (i *Introspector) verify(ctx context.Context, jws *jose.JWS) error {
	alg := jose.Algorithm(jws.Header.Algorithm)
	if !slices.Contains(i.config.Algorithms, alg) {
		return fmt.Errorf("%w: the algorithm is not one of the issuer's", errSigned)
	}
	candidates, err := i.config.Keys.Find(ctx, jws.Header.KeyID, alg)
	if err != nil {
		return fmt.Errorf("%w: %w", errSigned, err)
	}
	for _, key := range candidates {
		if jws.VerifyWith(key, alg) == nil {
			return nil
		}
	}
	return errSigned
}

func (i *Introspector) checkSigned(outer token.Claims, now time.Time) error {
	if issuer, _ := outer.Text("iss"); issuer != i.config.Issuer {
		return errIssuer
	}
	if !names(outer, i.config.Client.ID()) {
		return errSignedAud
	}
	value, _ := outer.Get("iat")
	number, ok := value.(json.Number)
	if !ok {
		return errSignedIat
	}
	seconds, err := number.Float64()
	if err != nil || seconds > float64(now.Add(signedSkew).Unix()) || seconds < float64(now.Add(-signedSkew).Unix()) {
		return errSignedIat
	}
	return nil
}

// names tells whether aud is, or contains, the client.
func names(outer token.Claims, client string) bool {
	value, _ := outer.Get("aud")
	if list, ok := value.([]any); ok {
		return slices.Contains(list, any(client))
	}
	return value == any(client)
}

// inner takes the answer out of the JWT around it.
func inner(outer token.Claims) (token.Claims, error) {
	value, _ := outer.Get("token_introspection")
	object, ok := value.(map[string]any)
	if !ok {
		return token.Claims{}, badAnswer(errSignedHas)
	}
	text, err := json.Marshal(object)
	if err != nil {
		return token.Claims{}, badAnswer(errSignedHas)
	}
	claims, err := token.ParseClaims(text)
	if err != nil {
		return token.Claims{}, badAnswer(err)
	}
	return claims, nil
}
