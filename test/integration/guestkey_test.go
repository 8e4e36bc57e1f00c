package integration_test

import (
	"crypto/ecdsa"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A guestSlot is the device of the key module dev_slot, which is a guest: it lives in
// another Go module, as that of somebody else would.
type guestSlot struct {
	path string
	key  *tokentest.Key
	text string // what no log may hold
}

func newGuestSlot(t *testing.T) *guestSlot {
	t.Helper()
	key := tokentest.NewKey(t, "ES256", "slot-7")
	private, ok := key.Private.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatalf("the key is a %T", key.Private)
	}
	scalar, err := private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	slot := &guestSlot{filepath.Join(t.TempDir(), "slot"), key, tokentest.Encode(scalar)}
	slot.put(t, "")
	return slot
}

// put leaves the slot in a state, "" is one in which it signs.
func (s *guestSlot) put(t *testing.T, state string) {
	t.Helper()
	replaceFile(t, s.path, []byte(s.key.ID+" "+s.text+" "+state+"\n"))
}

func startGuestKey(t *testing.T, slot *guestSlot, more ...string) (*harness.Gateway, *harness.AuthServer, *harness.Upstream) {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	rule := &harness.AssertionRule{Key: slot.key, Audience: idp.URL, Type: "client-authentication+jwt"}
	idp.Authenticate(func(r *http.Request) bool {
		return rule.Accepts(t, r) && harness.Header(t, r.PostForm.Get("client_assertion"))["kid"] == slot.key.ID
	})
	gateway := harness.Start(t, guestAuth(strings.Join(append(more, "key_module dev_slot "+slot.path), "\n")), "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	return gateway, idp, upstream
}

func guestAuth(words string) string {
	return strings.ReplaceAll(clientAuth, "$AUTH", "auth private_key_jwt\n"+words)
}

// The key of a guest's module proves the gateway, and the upstream gets what the server
// gives for it. While the guest does not sign nothing is sent to anybody, and neither the
// answer nor the log says what the guest had in hand.
func TestKeyModuleOfAGuest(t *testing.T) {
	t.Parallel()
	slot := newGuestSlot(t)
	gateway, idp, upstream := startGuestKey(t, slot)
	token := idp.Token(nil)
	good := func() {
		t.Helper()
		gateway.Await("/", token, http.StatusOK)
		if claims := harness.Claims(t, upstream.Last(t).Bearer()); claims["aud"] != "orders" || upstream.Last(t).Holds(token) {
			t.Errorf("the upstream's token says %v", claims)
		}
	}
	good()
	for name, fail := range map[string]func(){
		"locked: it does not sign": func() { slot.put(t, "locked") },
		"pulled: there is no key": func() {
			if err := os.Remove(slot.path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			fail()
			calls, served := len(idp.Forms()), len(upstream.Received())
			answer := gateway.Get("/", token).Expect(t, http.StatusBadGateway)
			if answer.Members()["error"] != "exchange_misconfigured" || strings.Contains(answer.Body, "slot") {
				t.Errorf("the caller hears %s", answer.Body)
			}
			if len(idp.Forms()) != calls || len(upstream.Received()) != served {
				t.Error("something was sent without a proof")
			}
			for _, secret := range []string{slot.text, token} {
				if strings.Contains(fmt.Sprint(answer)+gateway.Log(), secret) {
					t.Errorf("%.10s… is in the answer or in the log", secret)
				}
			}
			slot.put(t, "")
			good()
		})
	}
	// Whoever runs the gateway hears of both, in the guest's words.
	for _, reason := range []string{"the slot is locked", "no such file"} {
		if !slices.ContainsFunc(gateway.Lines("exchange is misconfigured"), func(line map[string]any) bool {
			said, _ := line["error"].(string)
			return strings.Contains(said, "client gateway") && strings.Contains(said, "dev_slot: ") && strings.Contains(said, reason)
		}) {
			t.Errorf("%q is not in the log", reason)
		}
	}
}

// A guest that hangs holds up nobody for longer than the client's timeout, and no more
// callers than it has turns: whoever waits hears that something took too long, and once the
// guest signs again everybody is served.
func TestKeyModuleOfAGuestThatHangs(t *testing.T) {
	t.Parallel()
	const crowd = 70 // more than the guest may have to sign at a time
	slot := newGuestSlot(t)
	gateway, idp, upstream := startGuestKey(t, slot, "timeout 1s")
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	calls, served := len(idp.Forms()), len(upstream.Received())
	slot.put(t, "hangs")
	tokens := make([]string, crowd)
	var waiting sync.WaitGroup
	for i := range tokens {
		tokens[i] = idp.Token(map[string]any{"sub": fmt.Sprint("user-", i)})
		waiting.Go(func() {
			answer := gateway.Get("/", tokens[i])
			if answer.Status != http.StatusGatewayTimeout || answer.Members()["error"] != "temporarily_unavailable" {
				t.Errorf("a caller hears %d %s", answer.Status, answer.Body)
			}
		})
	}
	waiting.Wait()
	if len(idp.Forms()) != calls || len(upstream.Received()) != served {
		t.Error("something was sent without a proof")
	}
	slot.put(t, "")
	for _, token := range tokens {
		gateway.Await("/", token, http.StatusOK)
	}
}

// What is wrong with a guest shows when the configuration is loaded: its words with file
// and line, what it finds behind them with the client's name. The gateway serves on as it
// was.
func TestKeyModuleOfAGuestIsCheckedAtLoad(t *testing.T) {
	t.Parallel()
	slot := newGuestSlot(t)
	gateway, idp, _ := startGuestKey(t, slot)
	token := idp.Token(nil)
	gateway.Await("/", token, http.StatusOK)
	bad := filepath.Join(t.TempDir(), "bad")
	replaceFile(t, bad, []byte("slot-8 "+slot.text[1:]+"\n"))
	const place = "Caddyfile:13"
	for name, test := range map[string]struct {
		words string
		want  []string
	}{
		"no file":        {"key_module dev_slot", []string{"dev_slot", place}},
		"two files":      {"key_module dev_slot a b", []string{"wrong argument count", place}},
		"nobody's name":  {"key_module dev_nobody a", []string{"gatehouse.keys.dev_nobody", place}},
		"no such slot":   {"key_module dev_slot /does/not/exist", []string{"client c", "key_module", "/does/not/exist"}},
		"no key in it":   {"key_module dev_slot " + bad, []string{"client c", "key_module", bad}},
		"beside the key": {"key_module dev_slot " + slot.path + "\nkey " + slot.path, []string{"key and key_module exclude each other", "Caddyfile:"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := gateway.Reload(guestAuth(test.words))
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %v", want, err)
				}
			}
			if strings.Contains(err.Error()+gateway.Log(), slot.text[1:]) {
				t.Error("the key is in the message or in the log")
			}
			gateway.Get("/", token).Expect(t, http.StatusOK)
		})
	}
}
