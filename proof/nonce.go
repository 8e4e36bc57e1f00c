package proof

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// DefaultNonceLifetime is how long the same nonce is offered. It is accepted for as
// long again.
const DefaultNonceLifetime = 2 * time.Minute

const (
	minNonceKey = 32
	nonceSlot   = 8  // octets that say which stretch of time it is
	nonceMAC    = 16 // octets of the HMAC: nobody guesses 128 bits
	maxNonce    = 512
)

// Nonces are the server's nonces for DPoP proofs (RFC 9449, sections 8 and 9): a
// proof with one was not made long in advance. A nonce is a stretch of time with
// an HMAC, so nothing is remembered, and everyone who has the key accepts the
// nonces of everyone else who has it. Nonces are immutable and safe for concurrent
// use.
type Nonces struct {
	keys     [][]byte // the one that makes them first
	lifetime time.Duration
}

// NewNonces makes nonces with the first of the keys and accepts those of all, for
// keys that rotate. A key has at least 32 octets that nobody can guess; without any
// there is a random one, for a process alone. Zero lifetime means
// DefaultNonceLifetime.
func NewNonces(lifetime time.Duration, keys ...[]byte) (*Nonces, error) {
	if len(keys) == 0 {
		random := make([]byte, minNonceKey)
		rand.Read(random)
		keys = [][]byte{random}
	}
	if slices.ContainsFunc(keys, func(key []byte) bool { return len(key) < minNonceKey }) {
		return nil, errors.New("a key for nonces has at least 32 octets")
	}
	switch {
	case lifetime == 0:
		lifetime = DefaultNonceLifetime
	case lifetime < time.Second:
		return nil, errors.New("a nonce lives at least a second")
	}
	own := make([][]byte, len(keys))
	for i, key := range keys {
		own[i] = slices.Clone(key)
	}
	return &Nonces{keys: own, lifetime: lifetime}, nil
}

// Offer returns the nonce for the next proof, for the DPoP-Nonce header.
func (n *Nonces) Offer() string { return n.make(n.keys[0], n.slot()) }

// Check tells whether a nonce is good and, if so, whether it is the one that is
// offered now: if not, the answer should offer that one (RFC 9449, section 8.2).
func (n *Nonces) Check(nonce string) (good, current bool) {
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nonceSlot+nonceMAC) {
		return false, false
	}
	var head [nonceSlot + 1]byte // nine octets are whole characters
	if _, err := base64.RawURLEncoding.Decode(head[:], []byte(nonce[:12])); err != nil {
		return false, false
	}
	// Which stretch it claims to be of is not secret; the HMAC is compared in
	// constant time, and over the only spelling that it has.
	// One of the next stretch is from a node whose clock is ahead.
	slot, now := binary.BigEndian.Uint64(head[:nonceSlot]), n.slot()
	if slot != now && slot+1 != now && slot != now+1 {
		return false, false
	}
	good = slices.ContainsFunc(n.keys, func(key []byte) bool {
		return hmac.Equal([]byte(nonce), []byte(n.make(key, slot)))
	})
	return good, good && slot >= now
}

func (n *Nonces) slot() uint64 {
	return uint64(max(time.Now().UnixNano(), 0)) / uint64(n.lifetime) //nolint:gosec // neither is negative
}

func (*Nonces) make(key []byte, slot uint64) string {
	text := binary.BigEndian.AppendUint64(make([]byte, 0, nonceSlot+sha256.Size), slot)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("dpop nonce\x00")) // the key may serve other purposes as well
	mac.Write(text)
	return base64.RawURLEncoding.EncodeToString(mac.Sum(text)[:nonceSlot+nonceMAC])
}
