package redis

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// What is sealed looks so: the version, the secret's id, the nonce, and what AES-256-GCM
// made. The version, the id and the name it stands under are authenticated with it.
const (
	sealVersion = 1
	headLength  = 1 + len(keyID{})
	nonceLength = 12
	tagLength   = 16
	// endLength is what the content begins with: when it ends, in milliseconds since
	// 1970. The name's own end in Redis is for tidiness; this one cannot be moved.
	endLength = 8
)

// errUnreadable says that no secret opens it.
var errUnreadable = errors.New("it does not open")

// seal seals content, which is bound to the name and to the instant, with the first of
// the keys.
func seal(all []keys, name string, content []byte, until time.Time) ([]byte, error) {
	aead, err := all[0].aead(name)
	if err != nil {
		return nil, err
	}
	sealed := make([]byte, headLength+nonceLength, headLength+nonceLength+endLength+len(content)+tagLength)
	sealed[0] = sealVersion
	copy(sealed[1:], all[0].id[:])
	nonce := sealed[headLength:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("making a nonce: %w", err)
	}
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, endLength+len(content)), uint64(milliseconds(until))) //nolint:gosec // after 1970
	plain = append(plain, content...)
	return aead.Seal(sealed, nonce, plain, bound(sealed[:headLength], name)), nil
}

// open returns what was sealed under that name, and when it ends.
func open(all []keys, name string, sealed []byte) (content []byte, until time.Time, err error) {
	if len(sealed) < headLength+nonceLength+endLength+tagLength || sealed[0] != sealVersion {
		return nil, time.Time{}, errUnreadable
	}
	id := keyID(sealed[1:headLength])
	i := slices.IndexFunc(all, func(k keys) bool { return k.id == id })
	if i < 0 {
		return nil, time.Time{}, errUnreadable
	}
	aead, err := all[i].aead(name)
	if err != nil {
		return nil, time.Time{}, err
	}
	nonce, rest := sealed[headLength:headLength+nonceLength], sealed[headLength+nonceLength:]
	plain, err := aead.Open(nil, nonce, rest, bound(sealed[:headLength], name))
	if err != nil {
		return nil, time.Time{}, errUnreadable
	}
	end := binary.BigEndian.Uint64(plain[:endLength])
	return plain[endLength:], time.UnixMilli(int64(end)), nil //nolint:gosec // ours, or it would not have opened
}

// aead makes the cipher for one name. Each name has a key of its own, so that the random
// nonces of one key remain few however much is stored.
func (k keys) aead(name string) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, k.seals)
	mac.Write([]byte(name))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return aead, nil
}

// bound is what is authenticated with the content: the head has a fixed length.
func bound(head []byte, name string) []byte { return slices.Concat(head, []byte(name)) }

// milliseconds rounds up: nothing ends before its time.
func milliseconds(at time.Time) int64 { return at.Add(time.Millisecond - 1).UnixMilli() }

// remaining is how long something lives in Redis, in milliseconds and rounded up, since
// there 0 would be for ever. It is 0 for what has ended.
func remaining(until time.Time) int64 {
	return max(0, int64((time.Until(until)+time.Millisecond-1)/time.Millisecond))
}
