package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"slices"
)

// A Thumbprint is a SHA-256 by which a token names the key or the certificate that
// it is bound to. The zero value names none.
type Thumbprint [sha256.Size]byte

// IsZero tells whether there is none.
func (t Thumbprint) IsZero() bool { return t == Thumbprint{} }

// Is compares in constant time. No thumbprint is the zero one, so a binding that
// is absent is never met.
func (t Thumbprint) Is(other Thumbprint) bool {
	return !t.IsZero() && subtle.ConstantTimeCompare(t[:], other[:]) == 1
}

// A Confirmation is the cnf claim (RFC 7800, section 3): what whoever presents the
// token must prove to hold. All that is not zero must be proved.
type Confirmation struct {
	// Key is the thumbprint (RFC 7638) of the key that signs DPoP proofs: the
	// member jkt (RFC 9449, section 6.1).
	Key Thumbprint
	// Certificate is that of the client's TLS certificate: the member x5t#S256
	// (RFC 8705, section 3.1).
	Certificate Thumbprint
}

// IsZero tells whether the token is bound to nothing: a bearer token.
func (c Confirmation) IsZero() bool { return c == Confirmation{} }

// otherBindings are members of cnf that name a key in other ways: RFC 7800,
// section 3.1, RFC 8747 and the ways of certificates. Nobody here can check them.
var otherBindings = []string{"jwk", "jwe", "kid", "jku", "osc", "x5t", "x5c", "x5u"}

// ParseConfirmation reads the cnf claim; without one the result is zero. A claim of
// a wrong shape wraps BadClaim. One that asks for a proof that nobody here can check
// wraps Bound: a binding that is passed over is a stolen token that works. Beside a
// binding that is checked, members that bind to no key are ignored (RFC 7800,
// section 3): Keycloak writes one that says what its jkt is for.
func ParseConfirmation(claims Claims) (Confirmation, error) {
	value, ok := claims.Get("cnf")
	if !ok {
		return Confirmation{}, nil
	}
	members, ok := value.(map[string]any)
	if !ok || len(members) == 0 {
		return Confirmation{}, fmt.Errorf("%w: cnf is not an object with members", BadClaim)
	}
	var confirmation Confirmation
	for name, value := range members {
		var to *Thumbprint
		switch {
		case name == "jkt":
			to = &confirmation.Key
		case name == "x5t#S256":
			to = &confirmation.Certificate
		case slices.Contains(otherBindings, name):
			return Confirmation{}, errOtherBinding
		default:
			continue
		}
		text, _ := value.(string)
		if *to, ok = parseThumbprint(text); !ok {
			return Confirmation{}, fmt.Errorf("%w: cnf.%s is not a SHA-256 in base64url", BadClaim, name)
		}
	}
	if confirmation.IsZero() {
		return Confirmation{}, errOtherBinding
	}
	return confirmation, nil
}

var errOtherBinding = fmt.Errorf("%w: cnf names a key in another way than jkt and x5t#S256", Bound)

// parseThumbprint reads 32 octets in base64url. The unused bits of the last character may be
// anything: those of the example in RFC 8705, section 3.1, are not zero, and a token
// is what its issuer signed, whichever way it spells a number.
func parseThumbprint(text string) (Thumbprint, bool) {
	var thumb Thumbprint
	if len(text) != base64.RawURLEncoding.EncodedLen(len(thumb)) {
		return Thumbprint{}, false
	}
	// The decoder skips line breaks; for them the length above leaves no room.
	n, err := base64.RawURLEncoding.Decode(thumb[:], []byte(text))
	return thumb, err == nil && n == len(thumb) && !thumb.IsZero()
}
