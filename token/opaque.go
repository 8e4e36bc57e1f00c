package token

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// LooksLikeJWT tells whether a credential has the form of a compact JWS or JWE
// (RFC 7515 and RFC 7516, sections 7.1): three or five parts, of which the first
// is a JSON object in base64url. Whatever else it is, it is no text that only its
// issuer can read.
func (r Raw) LooksLikeJWT() bool {
	text := r.Reveal()
	dots := strings.Count(text, ".")
	return strings.HasPrefix(text, "ey") && (dots == 2 || dots == 4)
}

// An Introspection is what an issuer said about a token (RFC 7662, section 2.2).
type Introspection struct {
	// Issuer is whom the gateway asked, and the issuer where the answer names none.
	Issuer string
	// Claims are the members of the answer.
	Claims Claims
	// Paths are where the issuer puts things.
	Paths ClaimPaths
	// Digest and Essence name the token.
	Digest, Essence Digest
	// Until is the expiry where neither the answer nor the token has one.
	Until time.Time
	// JWT is the token itself where it is one: what the answer does not say is taken
	// from there. nil for an opaque token.
	JWT *Token
}

// Introspected makes a token of what its issuer said. The shape of every
// registered claim is checked as in a JWT; what the claims say is checked on
// every request.
func Introspected(said Introspection) (*Token, error) {
	typ := ""
	if said.JWT != nil {
		var err error
		if said.Claims, err = said.Claims.over(said.JWT.Claims); err != nil {
			return nil, err
		}
		typ = said.JWT.Type
	}
	found, err := read(said.Digest, typ, said.Claims, said.Paths)
	if err != nil {
		return nil, err
	}
	if err := checkTokenType(said.Claims, found.Confirmation); err != nil {
		return nil, err
	}
	found.Essence, found.Said = said.Essence, said.Claims.Sum()
	if found.opaque = said.JWT == nil; !found.opaque {
		found.KeyID = said.JWT.KeyID // of the key that was checked, whatever the answer says
		found.Inner = said.JWT.Inner
		found.Status = said.JWT.Status // which the JWT was held against
	}
	if !said.Claims.Has("iss") {
		found.Issuer = said.Issuer
	}
	if !said.Claims.Has("exp") {
		found.Expiry = said.Until
	}
	if said.JWT == nil {
		return found, nil
	}
	if !found.namedAs(said.JWT) {
		found.JWT = said.JWT
	}
	if err := found.within(said.JWT); err != nil {
		return nil, err
	}
	return found, nil
}

// within holds an answer to what the issuer signed: an answer binds the token to more
// and ends it sooner, and takes nothing of either back.
func (t *Token) within(jwt *Token) error {
	if !jwt.Expiry.IsZero() && jwt.Expiry.Before(t.Expiry) {
		t.Expiry = jwt.Expiry
	}
	for said, signed := range map[*Thumbprint]Thumbprint{
		&t.Confirmation.Key: jwt.Confirmation.Key, &t.Confirmation.Certificate: jwt.Confirmation.Certificate,
	} {
		switch {
		case signed.IsZero():
		case said.IsZero():
			*said = signed
		case !said.Is(signed):
			return fmt.Errorf("%w: the issuer binds the token to another key than the token itself does", BadClaim)
		}
	}
	return nil
}

// namedAs tells whether whoever knows a token by its names and its date knows the other
// one by the same.
func (t *Token) namedAs(other *Token) bool {
	for _, name := range []string{"sub", "sid"} {
		value, _ := t.Claims.Text(name)
		if known, _ := other.Claims.Text(name); known != value {
			return false
		}
	}
	return t.Issuer == other.Issuer && t.ID == other.ID && t.Subject == other.Subject && t.Client == other.Client &&
		t.IssuedAt.Equal(other.IssuedAt)
}

// checkTokenType reads what an issuer calls a token (RFC 7662, section 2.2). One
// that it says needs a key and whose key it does not name would pass as a plain
// bearer token (RFC 9449, section 6.2).
func checkTokenType(said Claims, bound Confirmation) error {
	if !said.Has("token_type") {
		return nil
	}
	kind, ok := said.Text("token_type")
	switch {
	case !ok:
		return fmt.Errorf("%w: token_type is not a text", BadClaim)
	case strings.EqualFold(kind, schemeDPoP) && bound.Key.IsZero():
		return fmt.Errorf("%w: token_type is DPoP and there is no cnf.jkt", BadClaim)
	case (strings.EqualFold(kind, "PoP") || strings.EqualFold(kind, "mac")) && bound.IsZero():
		return fmt.Errorf("%w: token_type asks for a proof and there is no cnf", BadClaim)
	default:
		return nil
	}
}

// over returns these claims, and of the others those that are absent here.
func (c Claims) over(others Claims) (Claims, error) {
	members := make(map[string]any)
	for _, source := range []Claims{others, c} {
		for _, name := range source.Names() {
			members[name], _ = source.Get(name)
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: claims that cannot be written", BadClaim)
	}
	return ParseClaims(text)
}

// Weight estimates the bytes of memory that a token takes, for those who keep it.
func (t *Token) Weight() uint64 { return weigh(t) }
