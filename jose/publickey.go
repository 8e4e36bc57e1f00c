package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
)

// NewKey makes a Key of a public key of the standard library, by the same rules
// as a member of a key set: weak keys and keys that cannot verify are refused.
func NewKey(public crypto.PublicKey, kid string) (*Key, error) {
	if err := usable(public); err != nil {
		return nil, err
	}
	key := &Key{id: kid, public: public}
	// encoding/json sorts the members by name and writes no blanks: that is the
	// form RFC 7638, section 3, hashes.
	text, err := json.Marshal(key.PublicJWK())
	if err != nil {
		return nil, errors.New("key that has no JWK form")
	}
	key.thumbprint = sha256.Sum256(text)
	return key, nil
}

// PublicJWK is the public key as a JWK with its required members alone (RFC 7638,
// section 3.2), without kid, alg and use. It is made anew each time.
func (k *Key) PublicJWK() map[string]string {
	encode := base64.RawURLEncoding.EncodeToString
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		exponent := big.NewInt(int64(public.E)).Bytes()
		return map[string]string{"kty": "RSA", "n": encode(public.N.Bytes()), "e": encode(exponent)}
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y (SEC 1, section 2.3.3); usable saw that it is on its curve
		if err != nil {
			return nil
		}
		size := (len(point) - 1) / 2
		return map[string]string{
			"kty": "EC", "crv": public.Curve.Params().Name,
			"x": encode(point[1 : 1+size]), "y": encode(point[1+size:]),
		}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": encode(public)}
	default:
		return nil
	}
}
