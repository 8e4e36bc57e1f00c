package integration_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Two gateways on one storage rotate under load, one is killed while a key is being
// replaced, and comes back: nobody ever sees a token whose key is not published.
func TestKeysRotateUnderLoadAndKill(t *testing.T) {
	t.Parallel()
	storage := t.TempDir()
	var a, b atomic.Pointer[signingNode]
	address := harness.FreeAddress(t)
	a.Store(startNode(t, storage, address, "rotate 12s", keysSeal))
	b.Store(startNode(t, storage, harness.FreeAddress(t), "rotate 12s", keysSeal))
	witnesses := []*witness{
		{from: &a, by: &b, kids: make(map[string]bool)},
		{from: &b, by: &a, kids: make(map[string]bool)},
		{from: &b, by: &b, kids: make(map[string]bool)},
	}
	stop := make(chan struct{})
	var watching sync.WaitGroup
	for _, w := range witnesses {
		watching.Go(func() { w.watch(stop) })
	}
	end := sync.OnceFunc(func() { close(stop); watching.Wait() })
	defer end()

	harness.Eventually(t, "a key is replaced", func() bool { return witnesses[2].seen() >= 2 })
	// Not while it holds the lock: that is waited out in more time than these keys have.
	locks := filepath.Join(storage, "locks", "*.lock")
	harness.Eventually(t, "a key is about to be replaced", func() bool {
		held, err := filepath.Glob(locks)
		return err == nil && len(held) == 0 && b.Load().counts(t)["pending"] > 0
	})
	a.Load().Kill()
	before := witnesses[2].seen()
	harness.Eventually(t, "the other node replaces it", func() bool { return witnesses[2].seen() > before })
	a.Store(startNode(t, storage, address, "rotate 12s", keysSeal))
	restarted := witnesses[0].seen()
	harness.Eventually(t, "the node that was killed signs again", func() bool { return witnesses[0].seen() > restarted })
	end()

	for i, w := range witnesses {
		if len(w.faults) > 0 {
			t.Errorf("witness %d: %d faults, the first: %s", i, len(w.faults), w.faults[0])
		}
		t.Logf("witness %d saw %d tokens of %d keys", i, w.count, len(w.kids))
		if w.count < 50 {
			t.Errorf("witness %d saw %d tokens: that is no load", i, w.count)
		}
	}
}

// Two regions, each with a storage of its own, publish each other's keys.
func TestRegionsPublishEachOther(t *testing.T) {
	t.Parallel()
	addresses := []string{harness.FreeAddress(t), harness.FreeAddress(t)}
	// One list for all regions, each itself in it.
	words := "rotate 1h\n\t\t\tpublish"
	for _, address := range addresses {
		words += " http://" + address + "/oauth2/jwks"
	}
	var regions []*signingNode
	for _, address := range addresses {
		regions = append(regions, startNode(t, t.TempDir(), address, words, ""))
	}
	for i, from := range regions {
		for _, by := range regions {
			harness.Eventually(t, fmt.Sprintf("a token of region %d is good everywhere", i), func() bool {
				token, err := from.mint()
				if err != nil {
					t.Fatal(err)
				}
				set, _, err := by.published()
				if err != nil {
					t.Fatal(err)
				}
				_, err = kid(token, set)
				return err == nil
			})
		}
	}
	// What one region retires is gone in both, and is not handed back.
	stolen := regions[0].active(t)
	if said, ok := regions[0].Run("gatehouse", "keys", "retire", stolen, "--address", regions[0].address()); !ok {
		t.Fatal(said)
	}
	for i, region := range regions {
		harness.Eventually(t, fmt.Sprintf("region %d has dropped it", i), func() bool {
			set, _, err := region.published()
			return err == nil && !holdsKid(set, stolen)
		})
	}
	harness.Eventually(t, "the next key of that region is good in the other", func() bool {
		token, err := regions[0].mint()
		if err != nil {
			return false
		}
		set, _, err := regions[1].published()
		if err != nil {
			t.Fatal(err)
		}
		if holdsKid(set, stolen) {
			t.Fatal("the stolen key is back")
		}
		_, err = kid(token, set)
		return err == nil
	})
}

func TestKeysCommand(t *testing.T) {
	t.Parallel()
	n := startNode(t, t.TempDir(), harness.FreeAddress(t), "rotate 1h", "")
	keys := func(arguments ...string) (string, bool) {
		return n.Run(append(append([]string{"gatehouse", "keys"}, arguments...), "--address", n.address())...)
	}
	first := n.active(t)
	if said, ok := keys("frob"); ok || !strings.Contains(said, `unknown verb "frob": known: list, retire, rotate`) {
		t.Errorf("an unknown verb: %s", said)
	}
	if said, ok := n.Run("gatehouse", "key"); ok || !strings.Contains(said, `unknown verb "key": known: inspect, keys`) {
		t.Errorf("an unknown command: %s", said)
	}
	said, ok := keys("list")
	if !ok || !strings.Contains(said, first) || !strings.Contains(said, "issuer https://gateway.example") {
		t.Errorf("list: %s", said)
	}
	if said, ok = keys("rotate"); !ok || strings.Count(said, "pending") != 2 {
		t.Errorf("rotate: %s", said)
	}
	if said, ok = keys("rotate"); ok || !strings.Contains(said, "pending already") {
		t.Errorf("rotate again: %s", said)
	}
	harness.Eventually(t, "the new key signs", func() bool { return n.active(t) != first })
	harness.Eventually(t, "the rotation is counted", func() bool {
		return strings.Contains(n.Metrics(), `caddy_gatehouse_signing_rotations_total{purpose="at"} 1`)
	})
	harness.Eventually(t, "an event tells of it", func() bool { return events(n.Gateway, "signing_key_rotated") == 2 })
	if said, ok = keys("retire", first); !ok || !strings.Contains(said, "which was retired for at") {
		t.Errorf("retire: %s", said)
	}
	second := n.active(t)
	if said, ok = keys("retire", second); !ok || !strings.Contains(said, "which was active for at") {
		t.Errorf("retire: %s", said)
	}
	if answer := n.Get("/", ""); answer.Status != http.StatusServiceUnavailable {
		t.Errorf("without a key that may sign: %d %s", answer.Status, answer.Body)
	}
	if said, ok = keys("retire", second); ok || !strings.Contains(said, "no key has that kid") {
		t.Errorf("retire twice: %s", said)
	}
	// Older keys may have such a kid.
	if said, ok = keys("retire", "-udXA7"); ok || !strings.Contains(said, "then -- and then it") {
		t.Errorf("a kid like an option: %s", said)
	}
	if said, ok = n.Run("gatehouse", "keys", "retire", "--address", n.address(), "--", "-udXA7"); ok || !strings.Contains(said, "no key has that kid") {
		t.Errorf("a kid like an option behind --: %s", said)
	}
	harness.Eventually(t, "a third key signs", func() bool { _, err := n.mint(); return err == nil })
	for act, count := range map[string]int{"rotate_keys": 2, "retire_key": 4} {
		found := 0
		for _, line := range n.Audit() {
			if line["msg"] == "operated" && line["act"] == act && line["remote_ip"] == "127.0.0.1" {
				found++
			}
		}
		if found != count {
			t.Errorf("%d lines of %s in the audit trail, want %d", found, act, count)
		}
	}
	metrics := n.Metrics()
	for _, metric := range []string{`signing_key_age_seconds{purpose="txn"}`, "signing_degraded 0", "signing_storage_errors_total 0"} {
		if !strings.Contains(metrics, "caddy_gatehouse_"+metric) {
			t.Errorf("no metric %s", metric)
		}
	}
}

// The document in the storage holds nothing that signs without the secret, and a
// gateway with another secret neither starts nor writes over it.
func TestKeysAreSealed(t *testing.T) {
	t.Parallel()
	storage := t.TempDir()
	n := startNode(t, storage, harness.FreeAddress(t), "rotate 1h", keysSeal)
	documents, err := filepath.Glob(filepath.Join(storage, "gatehouse", "*", "keyset.json"))
	if err != nil || len(documents) != 1 {
		t.Fatalf("%v, %v", documents, err)
	}
	before, err := os.ReadFile(documents[0])
	if err != nil || !strings.Contains(string(before), `"seal":"`) {
		t.Fatalf("%v: %s", err, before)
	}
	info, err := os.Stat(documents[0])
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	other := strings.NewReplacer("$WORDS", "rotate 1h", "$SEAL", strings.Replace(keysSeal, "canary", "another", 1)).Replace(keysCaddyfile)
	if err := n.Reload(other); err == nil || !strings.Contains(err.Error(), "it was sealed with another secret") || strings.Contains(err.Error(), "0123456789") {
		t.Errorf("another secret: %v", err)
	}
	// Operators still reach the keys that sign, not those that the refused
	// configuration never had.
	if list := n.list(t); n.active(t) == "" || list.Degraded {
		t.Errorf("after a refused configuration: %+v", list)
	}
	both := strings.NewReplacer("$WORDS", "rotate 1h", "$SEAL", strings.Replace(keysSeal, "canary", "another", 1)+"\n\t\t"+keysSeal).Replace(keysCaddyfile)
	if err := n.Reload(both); err != nil {
		t.Errorf("the old one second: %v", err)
	}
	if after, err := os.ReadFile(documents[0]); err != nil || bytes.Equal(after, before) {
		t.Errorf("it was not sealed anew: %v", err)
	}
	if err := n.Reload(other); err != nil {
		t.Errorf("the new one alone: %v", err)
	}
	if _, err := n.mint(); err != nil {
		t.Error(err)
	}
}

// An issuer block with the gateway's own URL takes its tokens at the door, with keys
// that are not asked for over the network, and lets go of a retired one.
func TestOwnTokensAtTheDoor(t *testing.T) {
	t.Parallel()
	n := startNode(t, t.TempDir(), harness.FreeAddress(t), "rotate 1h", "")
	token, err := n.mint()
	if err != nil {
		t.Fatal(err)
	}
	n.Await("/own/", token, http.StatusOK)
	if answer := n.Get("/", token); answer.Status != http.StatusUnauthorized {
		t.Errorf("where only another issuer is trusted: %d", answer.Status)
	}
	if said, ok := n.Run("gatehouse", "keys", "retire", n.active(t), "--address", n.address()); !ok {
		t.Fatal(said)
	}
	n.Await("/own/", token, http.StatusUnauthorized)
}
