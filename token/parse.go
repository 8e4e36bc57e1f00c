package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// parse reads a compact JWS and its claims, which nobody has verified yet.
func parse(text string) (*jose.JWS, Claims, error) {
	jws, err := jose.ParseJWS(text)
	switch {
	case errors.Is(err, jose.ErrEncrypted):
		return nil, Claims{}, Encrypted
	case err != nil:
		return nil, Claims{}, fmt.Errorf("%w: %w", NotJWT, err)
	}
	claims, err := ParseClaims(jws.Payload)
	if err != nil {
		return nil, Claims{}, fmt.Errorf("%w: payload: %w", NotJWT, err)
	}
	return jws, claims, nil
}

// issuerOf reads the claim that says how the others are to be read.
func issuerOf(claims Claims) (string, error) {
	reader := claimReader{claims: claims}
	return reader.text("iss"), reader.err
}

// read makes a token of claims as their issuer writes them. The shape of every
// claim that means something is checked here, once; what the claims say is
// checked on every request.
func read(digest Digest, typ string, claims Claims, paths ClaimPaths) (*Token, error) {
	reader := claimReader{claims: claims}
	parsed := &Token{
		Issuer:    reader.text("iss"),
		Subject:   reader.text("sub"),
		ID:        reader.text("jti"),
		ACR:       reader.text("acr"),
		AMR:       reader.texts("amr"),
		AuthTime:  reader.time("auth_time"),
		Audience:  reader.texts("aud"),
		Expiry:    reader.time("exp"),
		NotBefore: reader.time("nbf"),
		IssuedAt:  reader.time("iat"),
		Claims:    claims,
		Type:      typ,
		Digest:    digest,
		foreign:   foreignKind(claims),
		number:    numbers.Add(1),
	}
	reader.placed(parsed, paths)
	if act, ok := claims.Get("act"); ok {
		parsed.Actor = reader.actor(act)
	}
	confirmation, err := ParseConfirmation(claims)
	if reader.err == nil {
		reader.err = err
	}
	parsed.Confirmation = confirmation
	return parsed, reader.err
}

// A claimReader reads claims by their type and keeps the first complaint. Claims
// of a wrong type are refused and never converted: a converted value is one that
// the next reader of the token sees differently.
type claimReader struct {
	claims Claims
	err    error
}

func (r *claimReader) fail(name, problem string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s %s", BadClaim, name, problem)
	}
}

func (r *claimReader) text(name string) string {
	text, ok := r.claims.Text(name)
	if !ok && r.claims.Has(name) {
		r.fail(name, "is not a text")
	}
	return text
}

// texts reads a text or a list of texts (RFC 7519, section 4.1.3).
func (r *claimReader) texts(name string) []string {
	value, present := r.claims.Get(name)
	return r.list(name, value, present)
}

func (r *claimReader) list(name string, value any, present bool) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		texts := make([]string, 0, len(value))
		for _, element := range value {
			text, ok := element.(string)
			if !ok {
				r.fail(name, "holds an element that is not a text")
			}
			texts = append(texts, text)
		}
		return texts
	case nil:
		if present {
			r.fail(name, "is null")
		}
		return nil
	default:
		r.fail(name, "is neither a text nor a list of texts")
		return nil
	}
}

// words parts a text at blanks, and at nothing else (RFC 6749, section 3.3): a
// tab is no separator to the next reader of the token.
func words(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == ' ' })
}

// farFuture is the end of year 9999: beyond it a date is a mistake or an attempt
// to overflow somebody's arithmetic.
const farFuture = 253402300799

// time reads a NumericDate (RFC 7519, section 2), fractions included.
func (r *claimReader) time(name string) time.Time {
	value, ok := r.claims.Get(name)
	if !ok {
		return time.Time{}
	}
	number, ok := value.(json.Number)
	if !ok {
		r.fail(name, "is not a number")
		return time.Time{}
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > farFuture || math.IsNaN(seconds) {
		r.fail(name, "is not a date between 1970 and 9999")
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*float64(time.Second)))
}

func (r *claimReader) actor(act any) string {
	object, ok := act.(map[string]any)
	if !ok {
		r.fail("act", "is not an object")
		return ""
	}
	actor, _ := object["sub"].(string)
	return actor
}
