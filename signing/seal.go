package signing

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// What each key is derived for (RFC 5869, section 3.2): none can stand in for
// another, nor for one that another part of the gateway derives of the same secret.
const (
	infoSeal = "gatehouse key set: private parts"
	infoMAC  = "gatehouse key set: document"
	infoName = "gatehouse key set: name of the seal"
)

// A sealer protects the document in the storage: it encrypts private parts, and
// authenticates the whole, since whoever could write a public key into it could
// sign in the gateway's name.
type sealer struct{ seals []seal } // the first one seals

type seal struct {
	name string // tells which secret it was, without telling the secret
	aead cipher.AEAD
	mac  []byte
}

// newSealer derives the keys. Without a secret nothing is sealed.
func newSealer(secrets []string) (*sealer, error) {
	made := &sealer{}
	for _, secret := range secrets {
		derived, err := derive(secret)
		if err != nil {
			return nil, fmt.Errorf("deriving keys of seal: %w", err)
		}
		made.seals = append(made.seals, derived)
	}
	return made, nil
}

func derive(secret string) (seal, error) {
	const size = 32
	encryption, err := hkdf.Key(sha256.New, []byte(secret), nil, infoSeal, size)
	if err != nil {
		return seal{}, err
	}
	block, err := aes.NewCipher(encryption)
	if err != nil {
		return seal{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return seal{}, err
	}
	mac, err := hkdf.Key(sha256.New, []byte(secret), nil, infoMAC, size)
	if err != nil {
		return seal{}, err
	}
	name, err := hkdf.Key(sha256.New, []byte(secret), nil, infoName, size/4)
	if err != nil {
		return seal{}, err
	}
	return seal{name: hex.EncodeToString(name), aead: aead, mac: mac}, nil
}

// first is the seal of what is written, nil if nothing is sealed.
func (s *sealer) first() *seal {
	if len(s.seals) == 0 {
		return nil
	}
	return &s.seals[0]
}

// named finds the seal of what is read, nil if it is none of these.
func (s *sealer) named(name string) *seal {
	i := slices.IndexFunc(s.seals, func(known seal) bool { return known.name == name })
	if i < 0 {
		return nil
	}
	return &s.seals[i]
}

// bound names what a private part belongs to: moved to another key, document or
// version it does not open.
func bound(place, kid string) []byte {
	return []byte(place + "\x00" + strconv.Itoa(blobVersion) + "\x00" + kid)
}

// close encrypts a private part; a nil seal leaves it as it is.
func (s *seal) close(private []byte, place, kid string) []byte {
	if s == nil {
		return private
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(private)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails
	return s.aead.Seal(nonce, nonce, private, bound(place, kid))
}

var errOpening = errors.New("a private part does not open")

// open decrypts a private part.
func (s *seal) open(sealed []byte, place, kid string) ([]byte, error) {
	if s == nil {
		return sealed, nil
	}
	size := s.aead.NonceSize()
	if len(sealed) < size {
		return nil, errOpening
	}
	private, err := s.aead.Open(nil, sealed[:size], sealed[size:], bound(place, kid))
	if err != nil {
		return nil, errOpening
	}
	return private, nil
}

// sum authenticates the document as it lies in that place, nil without a seal.
func (s *seal) sum(place string, document []byte) []byte {
	if s == nil {
		return nil
	}
	mac := hmac.New(sha256.New, s.mac)
	mac.Write([]byte(place))
	mac.Write([]byte{0, blobVersion})
	mac.Write(document)
	return mac.Sum(nil)
}
