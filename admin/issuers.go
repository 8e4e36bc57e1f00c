package admin

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// An Issuer is one whose tokens the running configuration accepts or makes.
type Issuer struct {
	// Name is that of its block, "" if it has none.
	Name string
	// URL is its iss claim.
	URL string
	// MaxAge is how long after iat a token, or what is derived from it, can be good:
	// max_token_age and some more, zero if a token may be of any age.
	MaxAge time.Duration
	// Leeway is how far the clocks may be apart.
	Leeway time.Duration
	// Opaque tells whether its tokens may be texts that only it can read.
	Opaque bool
	// Prefixes are how its opaque tokens begin, as far as that is known.
	Prefixes []string
	// Encrypted tells whether its tokens may be encrypted.
	Encrypted bool
	// Decrypter opens its encrypted tokens, nil if it has none.
	Decrypter token.Decrypter
}

// Issuers are all issuers of a configuration.
type Issuers []Issuer

// find resolves the name of a block, or a URL. A URL that nobody trusts is refused:
// a slip of the pen would revoke nothing, and nobody would know.
func (all Issuers) find(ref string) (Issuer, error) {
	var found []Issuer
	for _, issuer := range all {
		if issuer.URL == ref {
			return issuer, nil
		}
		if issuer.Name == ref && ref != "" {
			found = append(found, issuer)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Issuer{}, bad("issuer", "the running configuration trusts none of that name or URL: it has %s", all.names())
	default:
		return Issuer{}, bad("issuer", "the block has several URLs: write the one that is meant")
	}
}

func (all Issuers) names() string {
	if len(all) == 0 {
		return "none"
	}
	names := make([]string, 0, len(all))
	for _, issuer := range all {
		if issuer.Name == "" {
			names = append(names, issuer.URL)
		} else {
			names = append(names, issuer.Name+" ("+issuer.URL+")")
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// of finds the issuer of a token that does not say itself whose it is: the one that
// the operator named, or the only one that may have made it.
func (all Issuers) of(raw token.Raw, ref string) (Issuer, error) {
	if ref != "" {
		return all.find(ref)
	}
	may := func(i Issuer) bool { return i.Opaque }
	if raw.LooksLikeJWT() {
		may = func(i Issuer) bool { return i.Encrypted }
	}
	var found []Issuer
	for _, issuer := range all {
		if !may(issuer) {
			continue
		}
		if slices.ContainsFunc(issuer.Prefixes, func(p string) bool { return strings.HasPrefix(raw.Reveal(), p) }) {
			return issuer, nil
		}
		found = append(found, issuer)
	}
	if len(found) != 1 {
		return Issuer{}, bad("issuer", "the token does not show whose it is: write the name of an issuer block, or its URL")
	}
	return found[0], nil
}

// opened is the token in an encrypted one, and any other as it is. Anybody can encrypt
// a token once more: to revoke the envelope alone would be in vain.
func (all Issuers) opened(raw token.Raw) token.Raw {
	if !jose.IsEncrypted(raw.Reveal()) {
		return raw
	}
	for _, issuer := range all {
		if issuer.Decrypter == nil {
			continue
		}
		if text, err := issuer.Decrypter.Decrypt(raw.Reveal()); err == nil {
			return token.NewRaw(text)
		}
	}
	return raw
}

// told is what a JWT says of itself. Nobody has verified it: whoever holds a token
// may revoke it, and what is made up names no token that anybody accepts.
type told struct {
	issuer, id string
	ends       time.Time // zero if it does not say
}

// readTold reads a JWT; ok is false for every other token.
func readTold(raw token.Raw) (said told, ok bool) {
	jws, err := jose.ParseJWS(raw.Reveal())
	if err != nil {
		return told{}, false
	}
	claims, err := token.ParseClaims(jws.Payload)
	if err != nil {
		return told{}, false
	}
	said.issuer, _ = claims.Text("iss")
	said.id, _ = claims.Text("jti")
	expiry, _ := claims.Get("exp")
	if exp, isNumber := expiry.(json.Number); isNumber {
		seconds, err := exp.Float64()
		if err == nil && seconds > 0 && seconds < float64(1<<33) {
			said.ends = time.Unix(int64(seconds)+1, 0)
		}
	}
	return said, true
}
