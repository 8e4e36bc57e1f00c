package redis

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// A kind parts the names of marks, values, logs and rates, and their keys.
type kind string

const (
	kindMark  kind = "m"
	kindValue kind = "v"
	kindLog   kind = "l"
	kindRate  kind = "r"
)

// nameLength is how much of an HMAC stands in a name: 144 bits, without padding.
const nameLength = 18

// A keyID tells which secret sealed something. It says nothing of the secret.
type keyID [8]byte

// A ring holds the secrets, and the keys that were derived from them.
type ring struct {
	secrets []secret // the first seals
	prefix  string

	mu   sync.RWMutex
	uses map[use][]keys // in the order of secrets
}

type secret struct {
	id   keyID
	text string
}

// A use is what a key is for, and nothing else.
type use struct {
	kind    kind
	purpose store.Purpose
}

// keys are what one secret gives for one use.
type keys struct {
	id    keyID
	names []byte
	seals []byte
}

func newRing(prefix string, texts []string) (*ring, error) {
	r := &ring{prefix: prefix, uses: make(map[use][]keys)}
	for _, text := range texts {
		id, err := derive(text, "key id")
		if err != nil {
			return nil, err
		}
		r.secrets = append(r.secrets, secret{id: keyID(id[:len(keyID{})]), text: text})
	}
	if len(texts) > 1 && r.secrets[0].id == r.secrets[1].id {
		return nil, errors.New("both secrets are the same")
	}
	return r, nil
}

func derive(secret, what string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "gatehouse redis store: "+what, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return key, nil
}

// of returns the keys for a use, those of the secret that seals first.
func (r *ring) of(u use) ([]keys, error) {
	r.mu.RLock()
	derived := r.uses[u]
	r.mu.RUnlock()
	if derived != nil {
		return derived, nil
	}
	for _, secret := range r.secrets {
		names, err := derive(secret.text, fmt.Sprintf("names of %s %s", u.kind, u.purpose))
		if err != nil {
			return nil, err
		}
		seals, err := derive(secret.text, fmt.Sprintf("seal of %s %s", u.kind, u.purpose))
		if err != nil {
			return nil, err
		}
		derived = append(derived, keys{id: secret.id, names: names, seals: seals})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses[u] = derived
	return derived, nil
}

// names are what an identifier is called, one name for each secret, in their order.
func (r *ring) names(u use, id string) ([]string, error) {
	all, err := r.of(u)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i, k := range all {
		names[i] = r.prefix + string(u.kind) + ":" + string(u.purpose) + ":" + k.cipher(id)
	}
	return names, nil
}

// ordered are the names in an order that is the same on all nodes, whichever secret
// seals.
func (r *ring) ordered(u use, id string) ([]string, error) {
	names, err := r.names(u, id)
	if len(names) > 1 && bytes.Compare(r.secrets[0].id[:], r.secrets[1].id[:]) > 0 {
		slices.Reverse(names)
	}
	return names, err
}

// ciphers are what an identifier is called within a log.
func (r *ring) ciphers(u use, id string) ([]string, error) {
	all, err := r.of(u)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(all))
	for i, k := range all {
		names[i] = k.cipher(id)
	}
	return names, nil
}

// cipher stands for an identifier: who has not the secret can neither read it nor try
// whether it stands for one that he knows.
func (k keys) cipher(id string) string {
	mac := hmac.New(sha256.New, k.names)
	mac.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:nameLength])
}
