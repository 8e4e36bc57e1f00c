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

// isPlain is on the way of every request, several times, so it looks at eight octets at
// once, and at each only where one of them may be special.
func isPlain(text string) bool {
	if len(text) > maxName || len(text) > len(digested) && text[:len(digested)] == digested {
		return false
	}
	rest := text
	for ; len(rest) >= 8; rest = rest[8:] {
		if mayBeSpecial(eight(rest)) {
			return !hasControl(text)
		}
	}
	return !hasControl(rest)
}

// hasControl looks for control characters. Those beyond ASCII take two octets, of which the
// first one is 0xc2.
func hasControl(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c == 0x7f:
			return true
		case c == 0xc2 && i+1 < len(text) && text[i+1] < 0xa0:
			return true
		}
	}
	return false
}

func eight(text string) uint64 {
	_ = text[7]
	return uint64(text[0]) | uint64(text[1])<<8 | uint64(text[2])<<16 | uint64(text[3])<<24 |
		uint64(text[4])<<32 | uint64(text[5])<<40 | uint64(text[6])<<48 | uint64(text[7])<<56
}

// mayBeSpecial tells whether one of eight octets is below 0x20, or 0x7f, or 0xc2: taking
// n from an octet borrows into its highest bit where it is less than n (Bit Twiddling
// Hacks, hasless and haszero).
func mayBeSpecial(octets uint64) bool {
	const each, highest = 0x0101010101010101, 0x8080808080808080
	del, first := octets^(each*0x7f), octets^(each*0xc2)
	low := (octets - each*' ') &^ octets
	return (low|(del-each)&^del|(first-each)&^first)&highest != 0
}
