package sts

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// Bounds of a secret's hash: below, a stolen configuration gives the secret away;
// above, whoever knows a client's name burns the gateway's memory and time.
const (
	minHashMemory = 7 << 10  // KiB
	maxHashMemory = 64 << 10 // KiB; the second choice of RFC 9106, section 4
	maxHashPasses = 8
	maxHashLanes  = 8
	minHashSalt   = 8
	minHashSum    = 16
	maxHashPart   = 64
	maxSecret     = 1 << 10
)

// ErrSecretHash is the base of every error of ParseSecretHash. It never quotes the
// text.
var ErrSecretHash = errors.New("reading secret_hash")

// A SecretHash is the Argon2id hash of a client's secret (RFC 9106). It is safe for
// concurrent use.
type SecretHash struct {
	memory, passes uint32
	lanes          uint8
	salt, sum      []byte

	// A secret that was right is known again by a hash under a key of this process:
	// Argon2 costs its fifty milliseconds once, and a crowd of wrong secrets does not
	// keep those out who know the right one.
	key   [32]byte
	right atomic.Pointer[[32]byte]
}

// ParseSecretHash reads the text form of an Argon2id hash, as every tool writes it:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>. Memory, passes and lanes are bounded.
func ParseSecretHash(text string) (*SecretHash, error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return nil, fmt.Errorf("%w: it is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash", ErrSecretHash)
	}
	made := new(SecretHash)
	if err := made.readCost(parts[3]); err != nil {
		return nil, err
	}
	var err error
	if made.salt, err = readPart(parts[4], minHashSalt); err != nil {
		return nil, fmt.Errorf("%w: salt: %w", ErrSecretHash, err)
	}
	if made.sum, err = readPart(parts[5], minHashSum); err != nil {
		return nil, fmt.Errorf("%w: hash: %w", ErrSecretHash, err)
	}
	_, _ = rand.Read(made.key[:])
	return made, nil
}

func (h *SecretHash) readCost(text string) error {
	values := make(map[string]uint64)
	for pair := range strings.SplitSeq(text, ",") {
		name, digits, _ := strings.Cut(pair, "=")
		value, err := strconv.ParseUint(digits, 10, 32)
		if _, twice := values[name]; err != nil || twice || !slices.Contains([]string{"m", "t", "p"}, name) {
			return fmt.Errorf("%w: its cost is not of the form m=…,t=…,p=…", ErrSecretHash)
		}
		values[name] = value
	}
	memory, passes, lanes := values["m"], values["t"], values["p"]
	switch {
	case memory < minHashMemory || memory > maxHashMemory:
		return fmt.Errorf("%w: m is %d KiB; between %d and %d are accepted", ErrSecretHash, memory, minHashMemory, maxHashMemory)
	case passes < 1 || passes > maxHashPasses:
		return fmt.Errorf("%w: t is %d; between 1 and %d are accepted", ErrSecretHash, passes, maxHashPasses)
	case lanes < 1 || lanes > maxHashLanes:
		return fmt.Errorf("%w: p is %d; between 1 and %d are accepted", ErrSecretHash, lanes, maxHashLanes)
	}
	h.memory, h.passes, h.lanes = uint32(memory), uint32(passes), uint8(lanes)
	return nil
}

func readPart(text string, shortest int) ([]byte, error) {
	data, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || len(data) < shortest || len(data) > maxHashPart {
		return nil, fmt.Errorf("not between %d and %d octets in base64 without padding", shortest, maxHashPart)
	}
	return data, nil
}

// Matches tells whether the secret is the one. It waits for its turn, and fails
// with the context's error or errCrowd if that does not come.
func (h *SecretHash) Matches(ctx context.Context, crowd *Crowd, secret string) (bool, error) {
	quick := h.quick(secret)
	if known := h.right.Load(); known != nil && hmac.Equal(known[:], quick[:]) {
		return true, nil
	}
	leave, err := crowd.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	sum := argon2.IDKey([]byte(secret), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.sum))) //nolint:gosec // bounded
	if subtle.ConstantTimeCompare(sum, h.sum) != 1 {
		return false, nil
	}
	h.right.Store(&quick)
	return true, nil
}

func (h *SecretHash) quick(secret string) [32]byte {
	mac := hmac.New(sha256.New, h.key[:])
	mac.Write([]byte(secret))
	return [32]byte(mac.Sum(nil))
}

// decoy is a hash of the same cost that no secret matches, for clients that do not
// exist: how long an answer takes does not tell whether they do.
func (h *SecretHash) decoy() *SecretHash {
	made := &SecretHash{memory: h.memory, passes: h.passes, lanes: h.lanes, salt: make([]byte, len(h.salt)), sum: make([]byte, len(h.sum))}
	for _, random := range [][]byte{made.salt, made.sum, made.key[:]} {
		_, _ = rand.Read(random)
	}
	return made
}
