package signing

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// OriginClaim is the claim that says what a token was derived from, for the gateway
// alone.
const OriginClaim = "gho"

const (
	infoVeil     = "gatehouse origins: encryption"
	infoVeilName = "gatehouse origins: name of the key"

	originPlain  = 0 // the octets as they are
	originSealed = 1 // the name of a key, and the octets encrypted

	veilNameSize = 2
	veilKeySize  = 32
	// maxOrigin bounds the claim, in characters.
	maxOrigin = 1024
)

// A Veil covers what tokens were derived from, so that the services that see them
// cannot tell that two of them come from one caller. Nobody can change a token, which
// is signed, so it is enough to encrypt: AES in counter mode, beginning at the jti,
// which is 128 random bits that no other token has. That costs no octets, and a token
// travels with each request.
//
// It is immutable and safe for concurrent use.
type Veil struct{ keys []veilKey } // the first one covers

type veilKey struct {
	name  [veilNameSize]byte
	block cipher.Block
}

// NewVeil derives the keys from secrets: the first covers, and each uncovers. Without
// a secret nothing is covered: origins are hashes then, for all to compare.
func NewVeil(secrets []string) (*Veil, error) {
	veil := new(Veil)
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(secret), nil, infoVeil, veilKeySize)
		if err != nil {
			return nil, fmt.Errorf("deriving the key of origins: %w", err)
		}
		name, err := hkdf.Key(sha256.New, []byte(secret), nil, infoVeilName, veilNameSize)
		if err != nil {
			return nil, fmt.Errorf("deriving the name of the key of origins: %w", err)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("making the key of origins: %w", err)
		}
		veil.keys = append(veil.keys, veilKey{[veilNameSize]byte(name), block})
	}
	return veil, nil
}

// cover is the claim of a token with that jti, "" without an origin.
func (v *Veil) cover(id string, origin []byte) string {
	if v == nil || len(origin) == 0 {
		return ""
	}
	covered := make([]byte, 0, 1+veilNameSize+len(origin))
	if len(v.keys) == 0 {
		return base64.RawURLEncoding.EncodeToString(append(append(covered, originPlain), origin...))
	}
	key := &v.keys[0]
	covered = append(append(covered, originSealed), key.name[:]...)
	covered = append(covered, origin...)
	if !key.apply(id, covered[1+veilNameSize:]) {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(covered)
}

// apply encrypts in place, or decrypts; false where the jti is none of ours.
func (k *veilKey) apply(id string, text []byte) bool {
	var start [aes.BlockSize]byte
	if len(id) != base64.RawURLEncoding.EncodedLen(len(start)) {
		return false
	}
	if n, err := base64.RawURLEncoding.Decode(start[:], []byte(id)); err != nil || n != len(start) {
		return false
	}
	cipher.NewCTR(k.block, start[:]).XORKeyStream(text, text)
	return true
}

// Origin returns what a token of the gateway's own was derived from, as Claims had it,
// nil if the token does not say or the secret is another one. The token must be
// verified.
func (v *Veil) Origin(own *token.Token) []byte {
	text, _ := own.Claims.Text(OriginClaim)
	if text == "" || len(text) > maxOrigin {
		return nil
	}
	covered, err := base64.RawURLEncoding.DecodeString(text)
	switch {
	case err != nil, len(covered) < 1+veilNameSize:
		return nil
	case covered[0] == originPlain:
		return covered[1:]
	case covered[0] != originSealed:
		return nil
	}
	name, origin := covered[1:1+veilNameSize], covered[1+veilNameSize:]
	for i := range v.keys {
		if key := &v.keys[i]; bytes.Equal(key.name[:], name) && key.apply(own.ID, origin) {
			return origin
		}
	}
	return nil
}
