package signing

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

// maxRelayed bounds the keys of peers in the published set. Many verifiers take
// no more than a few dozen keys.
const maxRelayed = 32

// A document is the published key set (RFC 7517, section 5) and what it was made
// of.
type document struct {
	set   *set
	peers []*jose.Key
	body  []byte
	etag  string
}

// empty is what is published before there is a key.
var empty = []byte(`{"keys":[]}`)

// Published returns the JWK Set with the public part of every key, and its ETag
// (RFC 9110, section 8.8.3). It may be kept for MaxAge. The bytes must not be
// changed.
func (r *Ring) Published() (doc []byte, etag string) {
	var keySet *set
	if current := r.config.State.current.Load(); current != nil {
		keySet = current.set
	}
	peers := r.relayed()
	last := r.document.Load()
	if last == nil || last.set != keySet || !slices.Equal(last.peers, peers) {
		last = compose(keySet, peers)
		r.document.Store(last)
	}
	return last.body, last.etag
}

// relayed are the peers' keys.
func (r *Ring) relayed() []*jose.Key {
	if len(r.config.Peers) == 0 {
		return nil
	}
	var relayed []*jose.Key
	for _, peer := range r.config.Peers {
		relayed = append(relayed, peer.Keys()...)
	}
	return relayed[:min(len(relayed), maxRelayed)]
}

// compose writes the key set. A peer's key that is one of ours too is ours.
func compose(own *set, peers []*jose.Key) *document {
	members := make([]map[string]any, 0, len(peers))
	if own != nil {
		for _, k := range own.keys {
			members = append(members, member(k.public, k.id, k.alg))
		}
	}
	seen := make(map[string]bool)
	for _, public := range peers {
		kid := public.ID()
		if kid == "" || seen[kid] || own != nil && own.find(kid) != nil {
			continue
		}
		seen[kid] = true
		relayed := member(public, kid, public.Algorithm())
		relayed[jose.RelayedMember] = true
		members = append(members, relayed)
	}
	body, err := json.Marshal(map[string]any{"keys": members})
	if err != nil {
		body = bytes.Clone(empty) // texts and truths are always JSON
	}
	sum := sha256.Sum256(body)
	return &document{set: own, peers: peers, body: body, etag: `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`}
}

// member is one key of the set.
func member(public *jose.Key, kid string, alg jose.Algorithm) map[string]any {
	written := map[string]any{"kid": kid, "use": "sig"}
	for name, value := range public.PublicJWK() {
		written[name] = value
	}
	if alg != "" {
		written["alg"] = string(alg)
	}
	return written
}

// KeySet implements keys.Fetcher, so that the gateway takes its own tokens at its
// door without asking itself over the network.
func (r *Ring) KeySet(context.Context) (jose.KeySet, time.Duration, error) {
	document, _ := r.Published()
	set, err := jose.ParseKeySet(document)
	return set, r.MaxAge(), err
}

// OwnKeys fetches the key set of a peer without the keys that the peer has from
// others. Two regions would otherwise hand each other a retired key for ever.
func OwnKeys(peer keys.Fetcher) keys.Fetcher { return ownKeys{peer} }

type ownKeys struct{ peer keys.Fetcher }

// KeySet implements keys.Fetcher.
func (o ownKeys) KeySet(ctx context.Context) (jose.KeySet, time.Duration, error) {
	set, life, err := o.peer.KeySet(ctx)
	set.Keys = slices.DeleteFunc(set.Keys, (*jose.Key).Relayed)
	return set, life, err
}
