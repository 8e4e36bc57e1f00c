package jose

import (
	"crypto"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

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
	// Other tells that the key itself says it is for something else than
	// signatures. Keycloak publishes its encryption keys in the same set.
	Other bool
}

// ParseKeySet reads a JWK Set (RFC 7517, section 5). It fails if the document is
// not a JWK Set or none of its keys can verify a signature.
func ParseKeySet(data []byte) (KeySet, error) {
	members, err := members(data)
	if err != nil {
		return KeySet{}, err
	}
	set := collect(members, parseKey)
	if len(set.Keys) == 0 {
		return set, fmt.Errorf("%w: none of its %d keys can verify signatures%s",
			ErrKeySet, len(members), firstReason(set.Dropped))
	}
	return set, nil
}

// members parts a JWK Set into its keys.
func members(data []byte) ([]json.RawMessage, error) {
	if _, err := ParseObject(data); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeySet, err)
	}
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil || document.Keys == nil {
		return nil, fmt.Errorf("%w: it has no list named keys", ErrKeySet)
	}
	if len(document.Keys) > maxKeys {
		return nil, fmt.Errorf("%w: %d keys; at most %d are accepted", ErrKeySet, len(document.Keys), maxKeys)
	}
	return document.Keys, nil
}

func firstReason(dropped []DroppedKey) string {
	if len(dropped) == 0 {
		return ""
	}
	return fmt.Sprintf(" (key %d: %s)", dropped[0].Index, dropped[0].Reason)
}

func collect(members []json.RawMessage, parse func([]byte) (*Key, error)) KeySet {
	var set KeySet
	seen := make(map[string][]*Key)
	for i, member := range members {
		key, err := parse(member)
		if err == nil && key.id != "" && slices.ContainsFunc(seen[key.id], key.competes) {
			err = errors.New("its kid is used by an earlier key")
		}
		if err != nil {
			set.Dropped = append(set.Dropped, DroppedKey{Index: i, Reason: err.Error(), Other: errors.Is(err, errOtherUse)})
			continue
		}
		seen[key.id] = append(seen[key.id], key)
		set.Keys = append(set.Keys, key)
	}
	return set
}

// competes tells whether one signature could be meant for either key. Of two such
// keys with one kid the first wins: to try both would let a kid name any number
// of keys, and to drop both would turn a copied line into an outage. Keys of
// other types or algorithms may share a kid (RFC 7517, section 4.5): the
// algorithm tells them apart.
func (k *Key) competes(other *Key) bool {
	for alg := range algorithms {
		if k.Supports(alg) && other.Supports(alg) {
			return true
		}
	}
	return false
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
	if mark, ok := parsed.Get(RelayedMember); ok {
		key.relayed = mark == true
	}
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
	if err := checkUse(key); err != nil {
		return err
	}
	switch key.(type) {
	case jwk.RSAPrivateKey, jwk.ECDSAPrivateKey, jwk.OKPPrivateKey:
		return errors.New("it is a private key; whoever published it must replace it")
	case jwk.SymmetricKey:
		return errors.New("it is a symmetric key, which a public set must not hold")
	}
	return nil
}

var errOtherUse = errors.New("its use is not sig")

// checkUse refuses keys that say they are for something else.
func checkUse(key jwk.Key) error {
	if use := key.KeyUsage(); use != "" && use != "sig" {
		return errOtherUse
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
