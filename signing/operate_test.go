package signing

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
)

func TestRotateByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.start()
		defer w.end()
		w.watch(time.Hour, time.Minute)
		made, err := w.nodes[0].Rotate(t.Context())
		if err != nil || len(made) != 2 || made[0].State != Pending {
			t.Fatalf("%+v, %v", made, err)
		}
		if _, err := w.nodes[1].Rotate(t.Context()); !errors.Is(err, ErrPending) {
			t.Errorf("twice: %v", err)
		}
		w.watch(2*time.Hour, time.Minute)
		if diff := cmp.Diff([]string{made[0].Kid}, w.nodes[1].kids(made[0].Purpose, Active)); diff != "" {
			t.Errorf("active (-want +got):\n%s", diff)
		}
		w.watch(30*time.Hour, time.Minute)
	})
}

func TestRetire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.start()
		defer w.end()
		w.watch(time.Hour, time.Minute)
		stolen := w.nodes[0].kids(AccessTokens, Active)[0]
		w.dropped[stolen] = true
		verifier := w.nodes[1].Verification(AccessTokens)
		found, err := verifier.Find(t.Context(), stolen, jose.ES256)
		if err != nil || !verifier.Holds(found[0]) {
			t.Fatalf("before: %v, %v", found, err)
		}
		was, err := w.nodes[0].Retire(t.Context(), stolen)
		if err != nil || was.State != Active {
			t.Fatalf("%+v, %v", was, err)
		}
		if w.nodes[0].Holds(stolen) {
			t.Error("it is still held where it was retired")
		}
		if _, err := w.nodes[0].Signer(AccessTokens); !errors.Is(err, ErrNoKey) {
			t.Errorf("at once: %v, want ErrNoKey until every node has the next key", err)
		}
		if _, err := w.nodes[0].Signer(TransactionTokens); err != nil {
			t.Errorf("the other purpose: %v", err)
		}
		elapse(testTiming.Poll() + time.Second)
		if w.nodes[1].Holds(stolen) || verifier.Holds(found[0]) {
			t.Error("the other node still holds it after a turn")
		}
		if _, err := verifier.Find(t.Context(), stolen, jose.ES256); !errors.Is(err, keys.ErrUnknown) {
			t.Errorf("finding it: %v", err)
		}
		w.watch(3*time.Minute, time.Second)
		for i, n := range w.nodes {
			if _, err := n.Signer(AccessTokens); err != nil {
				t.Errorf("node %d after a while: %v", i, err)
			}
		}
		if _, err := w.nodes[1].Retire(t.Context(), stolen); !errors.Is(err, ErrUnknownKid) {
			t.Errorf("twice: %v", err)
		}
	})
}

// With a key pending, that one signs at once.
func TestRetireWithPendingKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.start()
		defer w.end()
		w.watch(23*time.Hour+10*time.Minute, time.Minute)
		stolen, next := w.nodes[0].kids(AccessTokens, Active)[0], w.nodes[0].kids(AccessTokens, Pending)
		w.dropped[stolen] = true
		if _, err := w.nodes[0].Retire(t.Context(), stolen); err != nil {
			t.Fatal(err)
		}
		w.watch(2*time.Minute, time.Second)
		for i, n := range w.nodes {
			if diff := cmp.Diff(next, n.kids(AccessTokens, Active)); diff != "" {
				t.Errorf("node %d (-want +got):\n%s", i, diff)
			}
		}
	})
}

// A pending key and a retired one go without anything else to do.
func TestRetireOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.start()
		defer w.end()
		w.watch(23*time.Hour+10*time.Minute, time.Minute)
		n := w.nodes[0]
		active, pending := n.kids(AccessTokens, Active), n.kids(AccessTokens, Pending)
		if was, err := n.Retire(t.Context(), pending[0]); err != nil || was.State != Pending {
			t.Fatalf("%+v, %v", was, err)
		}
		if diff := cmp.Diff(active, n.kids(AccessTokens, Active)); diff != "" {
			t.Errorf("active (-want +got):\n%s", diff)
		}
		w.watch(2*time.Hour, time.Minute)
		if diff := cmp.Diff(active, n.kids(AccessTokens, Retired)); diff != "" {
			t.Errorf("retired (-want +got):\n%s", diff)
		}
		signing := n.kids(AccessTokens, Active)
		if was, err := n.Retire(t.Context(), active[0]); err != nil || was.State != Retired {
			t.Fatalf("%+v, %v", was, err)
		}
		if diff := cmp.Diff(signing, n.kids(AccessTokens, Active)); diff != "" {
			t.Errorf("active (-want +got):\n%s", diff)
		}
	})
}

// A node died with the lock, which never grows stale: it is taken from it before the
// keys come to their end.
func TestLockOfADeadNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.start()
		defer w.end()
		w.watch(22*time.Hour, time.Minute)
		before := w.nodes[0].kids(AccessTokens, Active)
		if !w.shared.tryLock(Place(testIssuer)) {
			t.Fatal("somebody has the lock")
		}
		w.watch(4*time.Hour, time.Minute)
		if cmp.Equal(before, w.nodes[0].kids(AccessTokens, Active)) {
			t.Error("the key of yesterday signs")
		}
		for _, n := range w.nodes {
			if n.Status().Degraded {
				t.Error("a node is in trouble still")
			}
		}
	})
}

func TestOperatingWithoutStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.start()
		defer w.end()
		w.nodes[0].access.set(func(a *access) { a.down = errDown })
		if _, err := w.nodes[0].Rotate(t.Context()); !errors.Is(err, errDown) {
			t.Errorf("rotating: %v", err)
		}
		kid := w.nodes[0].kids(AccessTokens, Active)[0]
		if _, err := w.nodes[0].Retire(t.Context(), kid); !errors.Is(err, errDown) || !w.nodes[0].Holds(kid) {
			t.Errorf("retiring: %v", err)
		}
	})
}

// A lock that comes after it was given up is given back.
func TestLateLockIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.start()
		defer w.end()
		w.nodes[0].access.set(func(a *access) { a.stuck = time.Minute })
		if _, err := w.nodes[0].Rotate(t.Context()); err == nil {
			t.Error("rotated through a storage that hangs")
		}
		w.nodes[0].access.set(func(a *access) { a.stuck = 0 })
		elapse(2 * time.Minute)
		if _, err := w.nodes[1].Rotate(t.Context()); err != nil {
			t.Errorf("the lock was left behind: %v", err)
		}
	})
}

// Another algorithm, and another secret, are taken up once the gateway starts with
// them.
func TestChangedConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.start()
		defer w.end()
		w.watch(time.Hour, time.Minute)
		changed := w.add(func(c *Config) {
			c.Algorithm = jose.EdDSA
			c.Seal = []string{newSecret, c.Seal[0]}
		})
		w.nodes[0].stop()
		if err := changed.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		changed.run(t)
		w.nodes = w.nodes[1:]
		if signer, err := changed.Signer(AccessTokens); err != nil || signer.Algorithm() != jose.ES256 {
			t.Errorf("at first: %v, %v", signer, err)
		}
		w.watch(2*time.Hour, time.Minute)
		if signer, err := changed.Signer(AccessTokens); err != nil || signer.Algorithm() != jose.EdDSA {
			t.Errorf("after the overlap: %v, %v", signer, err)
		}
		last := w.add(func(c *Config) { c.Seal = []string{newSecret}; c.Algorithm = jose.EdDSA })
		if err := last.Start(t.Context()); err != nil {
			t.Errorf("without the old secret: %v", err)
		}
	})
}

// A peer is another region.
type peer []*jose.Key

func (p peer) Keys() []*jose.Key { return p }

func TestPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var other peer
		for _, kid := range []string{"a", "b", "a", ""} {
			k, err := generate(AccessTokens, jose.ES256)
			if err != nil {
				t.Fatal(err)
			}
			public, err := jose.NewKey(publicOf(t, k), kid)
			if err != nil {
				t.Fatal(err)
			}
			other = append(other, public)
		}
		w := newWorld(t, 0)
		n := w.add(func(c *Config) { c.Peers = []Peer{&other} })
		if doc, etag := n.Published(); len(members(t, doc)) != 2 || etag == "" {
			t.Errorf("before it has keys: %s, %s", doc, etag)
		}
		w.start()
		defer w.end()
		doc, etag := n.Published()
		listed := members(t, doc)
		if len(listed) != 4 {
			t.Fatalf("%s", doc)
		}
		for _, member := range listed {
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if _, there := member[private]; there {
					t.Errorf("the member %s is published", private)
				}
			}
			if relayed := member[jose.RelayedMember] == true; relayed != (member["kid"] == "a" || member["kid"] == "b") {
				t.Errorf("%v", member)
			}
			if member["use"] != "sig" {
				t.Errorf("%v", member)
			}
		}
		set, err := jose.ParseKeySet(doc)
		if err != nil || len(set.Dropped) > 0 {
			t.Errorf("%v, %v", set, err)
		}
		if again, same := n.Published(); same != etag || &again[0] != &doc[0] {
			t.Error("it is made anew although nothing changed")
		}
		verifier := n.Verification(AccessTokens)
		found, err := verifier.Find(t.Context(), "b", jose.ES256)
		if err != nil || !verifier.Holds(found[0]) {
			t.Errorf("a peer's key: %v", err)
		}
		if _, err := n.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if doc, other := n.Published(); other == etag || len(members(t, doc)) != 6 {
			t.Errorf("after a rotation: %s, %s", doc, other)
		}
		other = other[:1]
		if doc, _ := n.Published(); len(members(t, doc)) != 5 {
			t.Errorf("after the peer dropped a key: %s", doc)
		}
		if verifier.Holds(found[0]) {
			t.Error("a key that the peer dropped is held")
		}
	})
}

// A transaction token's key verifies no access token.
func TestPurposesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		w.start()
		defer w.end()
		kid := w.nodes[0].kids(TransactionTokens, Active)[0]
		if _, err := w.nodes[0].Verification(AccessTokens).Find(t.Context(), kid, jose.ES256); !errors.Is(err, keys.ErrUnknown) {
			t.Errorf("%v", err)
		}
		if _, err := w.nodes[0].Verification(TransactionTokens).Find(t.Context(), kid, jose.ES256); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func members(t *testing.T, doc []byte) []map[string]any {
	t.Helper()
	var set struct{ Keys []map[string]any }
	if err := json.Unmarshal(doc, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

func TestFixed(t *testing.T) {
	if _, err := Fixed(nil).Signer(AccessTokens); !errors.Is(err, ErrNoKey) {
		t.Errorf("%v", err)
	}
	k, err := generate(AccessTokens, jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	held := Fixed(k.signer)
	if signer, err := held.Signer(TransactionTokens); err != nil || signer != k.signer || !held.Holds(k.id) || held.Holds("other") {
		t.Errorf("%v, %v", signer, err)
	}
}

func publicOf(t *testing.T, k *key) crypto.PublicKey {
	t.Helper()
	parsed, err := x509.ParsePKCS8PrivateKey(k.private)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.(crypto.Signer).Public()
}
