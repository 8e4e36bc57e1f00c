package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// errNoRetiredKey says that no key was ever replaced.
var errNoRetiredKey = errors.New("no retired key yet: rotate first")

// maxKeys bounds a keyring; the oldest keys are forgotten first.
const maxKeys = 16

// signingKey is one private key and whether the world may know its public half.
type signingKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	private   crypto.Signer
	published bool
}

func newSigningKey(algorithm jose.SignatureAlgorithm) (*signingKey, error) {
	private, err := generate(algorithm)
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	return &signingKey{id: rand.Text()[:12], algorithm: algorithm, private: private, published: true}, nil
}

func generate(algorithm jose.SignatureAlgorithm) (crypto.Signer, error) {
	switch algorithm {
	case jose.RS256:
		return rsa.GenerateKey(rand.Reader, 2048)
	case jose.EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	default:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
}

// keyring holds the provider's keys, oldest first; the last one signs. Keys are
// made at first use, because loading a configuration must not cost a key.
type keyring struct {
	algorithm jose.SignatureAlgorithm

	mu     sync.Mutex
	keys   []*signingKey
	hidden bool
}

// current returns the key that signs.
func (k *keyring) current() (*signingKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.currentLocked()
}

func (k *keyring) currentLocked() (*signingKey, error) {
	if len(k.keys) > 0 {
		return k.keys[len(k.keys)-1], nil
	}
	return k.addLocked()
}

func (k *keyring) addLocked() (*signingKey, error) {
	key, err := newSigningKey(k.algorithm)
	if err != nil {
		return nil, err
	}
	k.keys = append(k.keys, key)
	if len(k.keys) > maxKeys {
		k.keys = slices.Delete(k.keys, 0, len(k.keys)-maxKeys)
	}
	return key, nil
}

// retired returns the key that signed before the current one.
func (k *keyring) retired() (*signingKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) < 2 {
		return nil, errNoRetiredKey
	}
	return k.keys[len(k.keys)-2], nil
}

// rotate makes a new signing key. With keep the old ones stay published, as a
// careful server does it; without, they vanish from the key set at once.
func (k *keyring) rotate(keep bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	// A rotation before the first use must still leave an old key behind.
	if _, err := k.currentLocked(); err != nil {
		return err
	}
	if !keep {
		for _, key := range k.keys {
			key.published = false
		}
	}
	_, err := k.addLocked()
	return err
}

// hide makes the published set empty until it is shown again.
func (k *keyring) hide(hidden bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.hidden = hidden
}

// publicSet is the JWK Set that clients fetch (RFC 7517, section 5).
func (k *keyring) publicSet() (jose.JSONWebKeySet, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if _, err := k.currentLocked(); err != nil {
		return set, err
	}
	if k.hidden {
		return set, nil
	}
	for _, key := range k.keys {
		if key.published {
			set.Keys = append(set.Keys, jose.JSONWebKey{
				Key: key.private.Public(), KeyID: key.id, Algorithm: string(key.algorithm), Use: "sig",
			})
		}
	}
	return set, nil
}

// publicKey finds a published key by its id, for the provider's own checks.
// Hiding the set does not blind the provider itself.
func (k *keyring) publicKey(id string) (crypto.PublicKey, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range k.keys {
		if key.id == id && key.published {
			return key.private.Public(), true
		}
	}
	return nil, false
}

// ids lists the ids of the key set, and the one that signs.
func (k *keyring) ids() (signing string, published []string) {
	set, err := k.publicSet()
	if err != nil {
		return "", nil
	}
	published = make([]string, 0, len(set.Keys))
	for _, key := range set.Keys {
		published = append(published, key.KeyID)
	}
	if key, err := k.current(); err == nil {
		signing = key.id
	}
	return signing, published
}
