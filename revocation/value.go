package revocation

import (
	"crypto/sha256"
	"encoding/base64"
)

const (
	// maxName is the longest text, in octets, that stands in an event as it is.
	maxName = 1024
	// digested is how the value of an event begins that has the digest of a text.
	digested = "sha256:"
)

// ValueOf is what Event.Value is for a claim or a key of that name; a token is named
// by DigestValue. It is the text itself, or its SHA-256: of a text that is longer than
// an event has room for, or that holds control characters, which would do things to
// whoever looks at the list. Issuers may write both, so both must be revocable. A text
// that looks like a digest is digested, too: no value stands for two texts.
//
// It is no way back and forth: the value of a value is another one.
func ValueOf(text string) string {
	if isPlain(text) {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return digested + base64.RawURLEncoding.EncodeToString(sum[:])
}

// isPlain is on the way of every request. Control characters beyond ASCII take two
// octets, of which the first one is 0xc2.
func isPlain(text string) bool {
	if len(text) > maxName || len(text) > len(digested) && text[:len(digested)] == digested {
		return false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c == 0x7f:
			return false
		case c == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0:
			return false
		}
	}
	return true
}
