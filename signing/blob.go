package signing

import (
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

const (
	// blobVersion is the version of the document's form.
	blobVersion = 1
	// maxBlob bounds the document, and maxKeys the keys in it.
	maxBlob = 1 << 20
	maxKeys = 128
)

// What may be wrong with the document in the storage. None holds key material.
var (
	// errBroken says that it is not a document at all, as after a write that broke
	// off.
	errBroken  = errors.New("it is not a key set")
	errVersion = errors.New("it is of a version that this release does not know: run the newest release on every node")
	errUnseal  = errors.New("it was sealed with another secret: write the secret of then as a second seal line")
	errNoSeal  = errors.New("it is sealed, and the configuration has no seal: write seal <secret>")
	errOpen    = errors.New("it is not sealed, and only in the file system it may lie so: somebody else has written it")
	errForged  = errors.New("its seal is broken: somebody else has written it")
)

// A blob is the document as the storage has it.
type blob struct {
	Version int             `json:"version"`
	Seal    string          `json:"seal,omitempty"`
	MAC     []byte          `json:"mac,omitempty"`
	Set     json.RawMessage `json:"set"`
}

type blobSet struct {
	Serial uint64    `json:"serial"`
	Keys   []blobKey `json:"keys"`
}

type blobKey struct {
	Kid     string            `json:"kid"`
	Purpose Purpose           `json:"purpose"`
	Alg     jose.Algorithm    `json:"alg"`
	Public  map[string]string `json:"public"`
	Private []byte            `json:"private,omitempty"` // sealed, or PKCS #8
	Created time.Time         `json:"created"`
	From    time.Time         `json:"from"`
	Gone    time.Time         `json:"gone,omitzero"`
}

// A codec writes and reads the document of one place in the storage.
type codec struct {
	place  string
	sealer *sealer
	// open tells whether an unsealed document is believed: in a file system, where
	// whoever can write it can write the configuration too.
	open bool
}

// encode writes the document.
func (c *codec) encode(s *set) ([]byte, error) {
	if len(s.keys) > maxKeys {
		return nil, fmt.Errorf("writing the key set: %d keys; at most %d are kept, so rotate less often", len(s.keys), maxKeys)
	}
	seal := c.sealer.first()
	written := blobSet{Serial: s.serial, Keys: make([]blobKey, 0, len(s.keys))}
	for _, k := range s.keys {
		entry := blobKey{
			Kid: k.id, Purpose: k.purpose, Alg: k.alg, Public: k.public.PublicJWK(),
			Created: k.created.UTC(), From: k.from.UTC(), Gone: k.gone,
		}
		if k.private != nil {
			entry.Private = seal.close(k.private, c.place, k.id)
		}
		written.Keys = append(written.Keys, entry)
	}
	document, err := json.Marshal(written)
	if err != nil {
		return nil, fmt.Errorf("writing the key set: %w", err)
	}
	whole := blob{Version: blobVersion, MAC: seal.sum(c.place, document), Set: document}
	if seal != nil {
		whole.Seal = seal.name
	}
	return json.Marshal(whole)
}

// decode reads the document. current tells whether it is sealed as this
// configuration would.
func (c *codec) decode(raw []byte) (read *set, current bool, err error) {
	var whole blob
	if len(raw) > maxBlob {
		return nil, false, errBroken
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, false, errBroken
	}
	if whole.Version != blobVersion {
		return nil, false, errVersion
	}
	seal, err := c.sealOf(&whole)
	if err != nil {
		return nil, false, err
	}
	var document blobSet
	if err := json.Unmarshal(whole.Set, &document); err != nil || len(document.Keys) > maxKeys {
		return nil, false, errBroken
	}
	found := make([]*key, 0, len(document.Keys))
	for i := range document.Keys {
		k, err := c.key(&document.Keys[i], seal)
		if err != nil {
			return nil, false, fmt.Errorf("key %d: %w", i, err)
		}
		if slices.ContainsFunc(found, func(other *key) bool { return other.id == k.id }) {
			return nil, false, fmt.Errorf("key %d: %w", i, errBroken)
		}
		found = append(found, k)
	}
	return newSet(document.Serial, found), seal == c.sealer.first(), nil
}

// sealOf finds the seal of a document and looks whether it is whole.
func (c *codec) sealOf(whole *blob) (*seal, error) {
	if whole.Seal == "" {
		if !c.open {
			return nil, errOpen
		}
		return nil, nil //nolint:nilnil // not sealed, and no fault
	}
	seal := c.sealer.named(whole.Seal)
	switch {
	case seal == nil && len(c.sealer.seals) == 0:
		return nil, errNoSeal
	case seal == nil:
		return nil, errUnseal
	case !hmac.Equal(seal.sum(c.place, whole.Set), whole.MAC):
		return nil, errForged
	}
	return seal, nil
}

// key reads one key. Its kid is recomputed, so that none stands under the name of
// another.
func (c *codec) key(entry *blobKey, seal *seal) (*key, error) {
	member := maps.Clone(entry.Public)
	if member == nil {
		return nil, errBroken
	}
	member["kid"], member["alg"] = entry.Kid, string(entry.Alg)
	document, err := json.Marshal(map[string]any{"keys": []any{member}})
	if err != nil {
		return nil, errBroken
	}
	parsed, err := jose.ParseKeySet(document)
	if err != nil || kidOf(parsed.Keys[0]) != entry.Kid || !slices.Contains(Purposes(), entry.Purpose) {
		return nil, errBroken
	}
	read := &key{
		purpose: entry.Purpose, id: entry.Kid, alg: entry.Alg, public: parsed.Keys[0],
		created: entry.Created, from: entry.From, gone: entry.Gone,
	}
	if entry.Private == nil {
		return read, nil
	}
	private, err := seal.open(entry.Private, c.place, entry.Kid)
	if err != nil {
		return nil, err
	}
	if err := read.unpack(private); err != nil {
		return nil, err
	}
	return read, nil
}
