package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A gateway that mints for everybody, and publishes its keys at a second address.
const keysCaddyfile = `{
	debug
	storage file_system $STORAGE
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		issuer own https://gateway.example {
			audience orders
		}
		sign {
			subject issuer_scoped
			issuer https://gateway.example
			overlap 6s
			$WORDS
		}
		$SEAL
		exchange minted {
			grant local
			audience orders
			anonymous
			cache_entries off
		}
	}
}
http://$KEYS {
	token_service
}
$SITE {
	handle /own/* {
		token_auth own
		respond "one of ours"
	}
	handle {
		token_auth main {
			optional
		}
		token_exchange minted
		reverse_proxy $UPSTREAM
	}
}
`

const keysSeal = "seal canary-seal-0123456789abcdef0123456789"

// A signingNode is a gateway that mints, and where its keys are published.
type signingNode struct {
	*harness.Gateway

	keys string
}

// startNode starts one on a storage. Its upstream sends back the token that it got.
func startNode(t *testing.T, storage, address, words, seal string) *signingNode {
	t.Helper()
	upstream := harness.NewUpstream(t)
	upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	})
	gateway := harness.Start(t, keysCaddyfile, "$IDP", harness.NewAuthServer(t).URL, "$UPSTREAM", upstream.Address,
		"$STORAGE", storage, "$KEYS", address, "$WORDS", words, "$SEAL", seal)
	return &signingNode{Gateway: gateway, keys: "http://" + address + "/oauth2/jwks"}
}

// nodeClient gives up soon: a node that was killed does not answer.
var nodeClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

var errAnswered = errors.New("answered")

func fetch(url string) (body []byte, header http.Header, err error) {
	answer, err := nodeClient.Get(url)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err = io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%w %d: %s", errAnswered, answer.StatusCode, body)
	}
	return body, answer.Header, err
}

// mint is one token of the node's.
func (n *signingNode) mint() (string, error) {
	body, _, err := fetch(n.URL + "/")
	return string(body), err
}

// published is the key set of the node, and how long it may be kept.
func (n *signingNode) published() (set jose.KeySet, life time.Duration, err error) {
	body, header, err := fetch(n.keys)
	if err != nil {
		return set, 0, err
	}
	_, age, _ := strings.Cut(header.Get("Cache-Control"), "max-age=")
	seconds, err := strconv.Atoi(age)
	if err != nil {
		return set, 0, fmt.Errorf("Cache-Control: %w", err)
	}
	set, err = jose.ParseKeySet(body)
	return set, time.Duration(seconds) * time.Second, err
}

// kid is the kid of a token, if one of the keys made its signature.
func kid(token string, set jose.KeySet) (string, error) {
	jws, err := jose.ParseJWS(token)
	if err != nil {
		return "", err
	}
	for _, key := range set.Keys {
		if key.ID() == jws.Header.KeyID && jws.VerifyWith(key, jose.Algorithm(jws.Header.Algorithm)) == nil {
			return key.ID(), nil
		}
	}
	return jws.Header.KeyID, fmt.Errorf("no published key made the signature with kid %s", jws.Header.KeyID)
}

// A witness takes tokens from one node and verifies them with the key set of
// another: with what that publishes now, and with what it published as long ago as
// a verifier may keep it, which is the older of two.
type witness struct {
	from, by *atomic.Pointer[signingNode]

	cached  jose.KeySet
	fetched time.Time
	life    time.Duration

	mu     sync.Mutex
	kids   map[string]bool
	count  int
	faults []string
}

func (w *witness) watch(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			w.look()
		}
	}
}

func (w *witness) look() {
	by := w.by.Load()
	if time.Since(w.fetched) >= w.life {
		set, life, err := by.published()
		if err != nil {
			return // it is down just now
		}
		w.cached, w.fetched, w.life = set, time.Now(), life
	}
	token, err := w.from.Load().mint()
	if errors.Is(err, errAnswered) {
		w.fault(err)
	}
	if err != nil {
		return
	}
	id, err := kid(token, w.cached)
	// A verifier whose set grew too old while the token was made fetches it anew.
	if age := time.Since(w.fetched); err != nil && age < w.life {
		w.fault(fmt.Errorf("with a key set of %s ago: %w", age, err))
	}
	if set, _, err := by.published(); err == nil {
		if _, err := kid(token, set); err != nil {
			w.fault(fmt.Errorf("with the key set of now: %w", err))
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kids[id] = true
	w.count++
}

func (w *witness) fault(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, err.Error())
}

func (w *witness) seen() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.kids)
}

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

// counts are how many access token keys are in each state.
func (n *signingNode) counts(t *testing.T) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	for _, key := range n.list(t).Keys {
		if key.Purpose == "at" {
			counts[key.State]++
		}
	}
	return counts
}

type listedKeys struct {
	Degraded bool
	Keys     []struct{ Kid, Purpose, State string }
}

func (n *signingNode) list(t *testing.T) (list listedKeys) {
	t.Helper()
	body, _, err := fetch(n.Admin + "/gatehouse/keys")
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// active is the kid of the key that signs access tokens.
func (n *signingNode) active(t *testing.T) string {
	t.Helper()
	for _, key := range n.list(t).Keys {
		if key.Purpose == "at" && key.State == "active" {
			return key.Kid
		}
	}
	return ""
}

// Two regions, each with a storage of its own, publish each other's keys.
func TestRegionsPublishEachOther(t *testing.T) {
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

func holdsKid(set jose.KeySet, kid string) bool {
	for _, key := range set.Keys {
		if key.ID() == kid {
			return true
		}
	}
	return false
}

// address is that of the admin API, without its scheme.
func (n *signingNode) address() string { return strings.TrimPrefix(n.Admin, "http://") }

func TestKeysCommand(t *testing.T) {
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
	harness.Eventually(t, "a third key signs", func() bool { _, err := n.mint(); return err == nil })
	for act, count := range map[string]int{"rotate_keys": 2, "retire_key": 3} {
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
