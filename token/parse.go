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

// parse reads a compact JWS into a token that nobody has verified yet. The shape
// of every registered claim is checked here, once; what the claims say is
// checked on every request.
func parse(raw Raw) (*jose.JWS, *Token, error) {
	jws, err := jose.ParseJWS(raw.Reveal())
	switch {
	case errors.Is(err, jose.ErrEncrypted):
		return nil, nil, Encrypted
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", NotJWT, err)
	}
	claims, err := ParseClaims(jws.Payload)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: payload: %w", NotJWT, err)
	}
	parsed, err := fromClaims(claims)
	if err != nil {
		return nil, nil, err
	}
	parsed.Type, parsed.Digest = jws.Header.Type, raw.Digest()
	return jws, parsed, nil
}

func fromClaims(claims Claims) (*Token, error) {
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
	}
	if parsed.Client = reader.text("client_id"); parsed.Client == "" {
		parsed.Client = reader.text("azp")
	}
	if parsed.Scopes = reader.scopes("scope"); parsed.Scopes == nil {
		parsed.Scopes = reader.scopes("scp")
	}
	if act, ok := claims.Get("act"); ok {
		parsed.Actor = reader.actor(act)
	}
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

// scopes reads a text of scopes parted by blanks (RFC 8693, section 4.2) or, as
// some servers write it, a list.
func (r *claimReader) scopes(name string) []string {
	if text, ok := r.claims.Text(name); ok {
		return words(text)
	}
	return r.texts(name)
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
