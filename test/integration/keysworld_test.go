package integration_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
