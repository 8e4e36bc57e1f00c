package exchange

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

const (
	// maxEpoch bounds exp: the year 33658. What lies beyond is no time.
	maxEpoch = 1e12
	// maxID bounds a jti that goes into the audit trail.
	maxID = 128
)

// issuedClaims are what can be read of an issued token that is a JWT. Nobody
// verified them: they may make the gateway stricter, never more lenient.
type issuedClaims struct {
	expiry   time.Time // zero if it has none
	audience []string
	scope    []string
	hasScope bool
	id       string
	isJWT    bool   // else all others are empty
	boundTo  string // cnf.jkt (RFC 9449, section 6.1)
	// certificate is cnf.x5t#S256 (RFC 8705, section 3.1)
	certificate string
}

// readClaims reads an issued token if it happens to be a JWT; to the gateway it
// is an opaque text.
func readClaims(text string) issuedClaims {
	_, claims := readIdentity(text)
	return claims
}

// readIdentity returns all claims besides, nil if the text is no JWT.
func readIdentity(text string) (map[string]any, issuedClaims) {
	jws, err := jose.ParseJWS(text)
	if err != nil {
		return nil, issuedClaims{}
	}
	members, err := jose.ParseObject(jws.Payload)
	if err != nil {
		return nil, issuedClaims{}
	}
	return members, claimsOf(members)
}

func claimsOf(members map[string]any) issuedClaims {
	claims := issuedClaims{isJWT: true}
	if cnf, ok := members["cnf"].(map[string]any); ok {
		claims.boundTo, _ = cnf["jkt"].(string)
		claims.certificate, _ = cnf["x5t#S256"].(string)
	}
	if number, ok := members["exp"].(json.Number); ok {
		if seconds, err := number.Float64(); err == nil && seconds > 0 && seconds < maxEpoch {
			claims.expiry = time.Unix(int64(seconds), 0)
		}
	}
	claims.audience, _ = readTexts(members["aud"], false)
	for _, name := range []string{"scope", "scp"} { // who has both may be read by either
		if texts, ok := readTexts(members[name], true); ok {
			claims.scope, claims.hasScope = append(claims.scope, texts...), true
		}
	}
	if id, ok := members["jti"].(string); ok && len(id) <= maxID && visible(id) {
		claims.id = id
	}
	return claims
}

// readTexts reads a claim that is a text, split at blanks or not, or a list of
// texts.
func readTexts(value any, split bool) ([]string, bool) {
	switch value := value.(type) {
	case string:
		if split {
			return strings.FieldsFunc(value, func(c rune) bool { return c == ' ' }), true
		}
		return []string{value}, true
	case []any:
		texts := make([]string, 0, len(value))
		for _, element := range value {
			text, ok := element.(string)
			if !ok {
				return nil, false
			}
			texts = append(texts, text)
		}
		return texts, true
	default:
		return nil, false
	}
}

// visible tells whether a text is made of visible ASCII alone.
func visible(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
