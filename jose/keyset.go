package jose

import (
	"crypto"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// ErrKeySet is the base of every error of ParseKeySet and ParsePEM.
var ErrKeySet = errors.New("parsing key set")

// maxKeys bounds a key set: the largest public ones hold about twenty keys.
const maxKeys = 256

// A KeySet is what a JWK Set holds for verifying signatures, and what of it was
// left out. One bad key does not spoil the others: a server that adds a key type
// of tomorrow must not lock everyone out today.
type KeySet struct {
	Keys    []*Key
	Dropped []DroppedKey
}

// A DroppedKey says why a member of a key set is not used.
type DroppedKey struct {
	Index  int    // its place in the set, from 0
	Reason string // never holds key material
}

// ParseKeySet reads a JWK Set (RFC 7517, section 5). It fails if the document is
// not a JWK Set or none of its keys can verify a signature.
func ParseKeySet(data []byte) (KeySet, error) {
	if _, err := ParseObject(data); err != nil {
		return KeySet{}, fmt.Errorf("%w: %w", ErrKeySet, err)
	}
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil || document.Keys == nil {
		return KeySet{}, fmt.Errorf("%w: it has no list named keys", ErrKeySet)
	}
	if len(document.Keys) > maxKeys {
		return KeySet{}, fmt.Errorf("%w: %d keys; at most %d are accepted", ErrKeySet, len(document.Keys), maxKeys)
	}
	set := collect(document.Keys)
	if len(set.Keys) == 0 {
		return set, fmt.Errorf("%w: none of its %d keys can verify signatures%s",
			ErrKeySet, len(document.Keys), firstReason(set.Dropped))
	}
	return set, nil
}

func firstReason(dropped []DroppedKey) string {
	if len(dropped) == 0 {
		return ""
	}
	return fmt.Sprintf(" (key %d: %s)", dropped[0].Index, dropped[0].Reason)
}

func collect(members []json.RawMessage) KeySet {
	var set KeySet
	seen := make(map[string]bool)
	for i, member := range members {
		key, err := parseKey(member)
		if err == nil && key.id != "" && seen[key.id] {
			err = errors.New("its kid is used by an earlier key")
		}
		if err != nil {
			set.Dropped = append(set.Dropped, DroppedKey{Index: i, Reason: err.Error()})
			continue
		}
		seen[key.id] = true
		set.Keys = append(set.Keys, key)
	}
	return set
}

func parseKey(member []byte) (*Key, error) {
	parsed, err := jwk.ParseKey(member)
	if err != nil {
		return nil, errors.New("it is not a JWK of a known type")
	}
	if err := checkPurpose(parsed); err != nil {
		return nil, err
	}
	var public crypto.PublicKey
	if err := parsed.Raw(&public); err != nil {
		return nil, errors.New("its numbers are not a key")
	}
	if err := usable(public); err != nil {
		return nil, err
	}
	key := &Key{id: parsed.KeyID(), public: public}
	// A key may name an algorithm that is not ours (RSA-OAEP, RS1): then it is
	// not a key for signatures.
	if name := parsed.Algorithm().String(); name != "" {
		if key.algorithm, err = ParseAlgorithm(name); err != nil {
			return nil, errors.New("its alg is not a known signature algorithm")
		}
		if !key.Supports(key.algorithm) {
			return nil, errors.New("its alg does not fit its type")
		}
	}
	return key, thumbprint(key, parsed)
}

func checkPurpose(key jwk.Key) error {
	if use := key.KeyUsage(); use != "" && use != "sig" {
		return errors.New("its use is not sig")
	}
	operations := key.KeyOps()
	for _, operation := range operations {
		if operation == jwk.KeyOpVerify {
			operations = nil
		}
	}
	if len(operations) > 0 {
		return errors.New("its key_ops lack verify")
	}
	switch key.(type) {
	case jwk.RSAPrivateKey, jwk.ECDSAPrivateKey, jwk.OKPPrivateKey:
		return errors.New("it is a private key; whoever published it must replace it")
	case jwk.SymmetricKey:
		return errors.New("it is a symmetric key, which a public set must not hold")
	}
	return nil
}

func thumbprint(key *Key, parsed jwk.Key) error {
	sum, err := parsed.Thumbprint(crypto.SHA256)
	if err != nil {
		return errors.New("its thumbprint cannot be made")
	}
	copy(key.thumbprint[:], sum)
	return nil
}

// ParsePEM reads public keys and certificates in PEM blocks. The keys have no
// kid, so every token is tried against the ones that fit its algorithm.
func ParsePEM(data []byte) (KeySet, error) {
	var set KeySet
	for index := 0; ; index++ {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		key, err := parsePEMBlock(block)
		if err != nil {
			set.Dropped = append(set.Dropped, DroppedKey{Index: index, Reason: err.Error()})
		} else {
			set.Keys = append(set.Keys, key)
		}
		data = rest
	}
	if len(set.Keys) == 0 {
		return set, fmt.Errorf("%w: no PEM block holds a public key%s", ErrKeySet, firstReason(set.Dropped))
	}
	return set, nil
}

func parsePEMBlock(block *pem.Block) (*Key, error) {
	parsed, err := jwk.ParseKey(pem.EncodeToMemory(block), jwk.WithPEM(true))
	if err != nil {
		return nil, errors.New("it is not a public key or certificate")
	}
	member, err := json.Marshal(parsed)
	if err != nil {
		return nil, errors.New("it is not a public key or certificate")
	}
	return parseKey(member)
}
