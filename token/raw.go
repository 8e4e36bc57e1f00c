package token

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unsafe"
)

// A Digest is the SHA-256 of all bytes of a token. It names a token without
// holding it: caches are keyed by it and the audit trail prints its beginning.
type Digest [sha256.Size]byte

// fingerprintBytes is how much of a digest people see: enough to tell tokens
// apart in a log, too little to confirm a guess about a short one.
const fingerprintBytes = 8

// Fingerprint is the beginning of the digest in hexadecimal, for logs.
func (d Digest) Fingerprint() string {
	return "sha256:" + hex.EncodeToString(d[:fingerprintBytes])
}

// Raw is a token as it was presented. It prints as its fingerprint, whatever
// prints it; only Reveal returns the text.
//
// The text lies behind a pointer: package fmt calls no method of a value that it
// finds in an unexported field of another, and would print the text itself. It is the
// pointer that the text has anyway: one to the text would be a piece of memory of its own.
type Raw struct {
	text   *byte
	length int
	digest Digest
}

// NewRaw wraps the text of a token.
func NewRaw(text string) Raw { return wrap(text, digestOf(text)) }

func wrap(text string, digest Digest) Raw {
	return Raw{text: unsafe.StringData(text), length: len(text), digest: digest} //nolint:gosec // Reveal makes it a text again
}

// digestOf hashes the text where it lies. To copy it first would be the largest
// piece of garbage of a request.
func digestOf(text string) Digest {
	return sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text))) //nolint:gosec // Sum256 only reads
}

// Behind returns the token as it is and behind a scheme, as a header holds it. Both are
// one text, put together once, and print as the token does.
func (r Raw) Behind(scheme string) (plain, credential Raw) {
	if scheme == "" {
		return r, r
	}
	full := scheme + " " + r.Reveal()
	text := full[len(scheme)+1:]
	return wrap(text, r.digest), wrap(full, r.digest)
}

// Reveal returns the token itself. It may go to an authorization server and to
// nothing else.
func (r Raw) Reveal() string {
	return unsafe.String(r.text, r.length) //nolint:gosec // as wrap took it apart
}

// Digest returns the SHA-256 of the whole token.
func (r Raw) Digest() Digest { return r.digest }

// Essence is the digest of what nobody but the issuer could have written another way.
// Of a token of three parts that is all but the last one: from one ECDSA signature
// everybody can make a second that is as good (SEC 1, section 4.1.4: s and n-s). Of
// every other token it is the digest.
func (r Raw) Essence() Digest {
	text := r.Reveal()
	if strings.Count(text, ".") != 2 { //nolint:mnd // a compact JWS
		return r.digest
	}
	return digestOf(text[:strings.LastIndexByte(text, '.')])
}

// IsZero tells whether there is no token.
func (r Raw) IsZero() bool { return r.length == 0 }

// String returns the fingerprint.
func (r Raw) String() string { return r.digest.Fingerprint() }

// Format prints the fingerprint for every verb, %#v included: a debug print must
// not become a leak.
func (r Raw) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, r.String()) }

// MarshalJSON returns the fingerprint.
func (r Raw) MarshalJSON() ([]byte, error) { return []byte(`"` + r.String() + `"`), nil }

// LogValue returns the fingerprint.
func (r Raw) LogValue() slog.Value { return slog.StringValue(r.String()) }
