package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A gateway that mints for callers and for services. $SIGN are words of sign.
const keylessCaddyfile = `{
	storage file_system $STORAGE
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		sign {
			issuer https://gateway.example
			$SIGN
		}
		seal canary-seal-0123456789abcdef0123456789
		exchange orders {
			grant local
			audience orders
			cache_entries off
		}
	}
}
$SITE {
	token_service {
		endpoints jwks token ready
		client orders {
			auth secret_hash $HASH
			grants client_credentials token_exchange
			subject_issuer main
			subject_type access_token
			audience stock
		}
	}
	token_auth
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`

// A keylessBench is a gateway that is about to lose what it signs with.
type keylessBench struct {
	*harness.Gateway

	idp      *harness.AuthServer
	upstream *harness.Upstream
	storage  string
}

func newKeylessBench(t *testing.T, sign string) *keylessBench {
	t.Helper()
	b := &keylessBench{idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t), storage: t.TempDir()}
	b.Gateway = harness.Start(t, keylessCaddyfile, "$IDP", b.idp.URL, "$UPSTREAM", b.upstream.Address,
		"$STORAGE", b.storage, "$SIGN", sign, "$HASH", harness.ServiceHash())
	b.Await("/", b.idp.Token(nil), http.StatusOK)
	return b
}

// signs tells whether the gateway has a key.
func (b *keylessBench) signs() bool { return b.Get("/oauth2/ready", "").Status == http.StatusOK }

// expectKeyless asks in every way for a token while there is no key: each answer is
// 503 and says when to come back, and no request goes on without its token.
func (b *keylessBench) expectKeyless(t *testing.T) {
	t.Helper()
	token, reached := b.idp.Token(nil), len(b.upstream.Received())
	local := b.Get("/", token).Expect(t, http.StatusServiceUnavailable)
	expectHeader(t, local, "Retry-After", "5")
	if problem := problemOf(t, local); problem["error"] != "temporarily_unavailable" || problem["detail"] != "The gateway cannot sign a token at present." {
		t.Errorf("grant local: %s", local.Body)
	}
	expectNowhere(t, b.Gateway, b.upstream, local, token)
	for name, form := range map[string]map[string][]string{
		"client credentials": harness.ServiceForm("orders", "grant_type", "client_credentials"),
		"token exchange":     harness.ExchangeForm("orders", b.idp.Token(map[string]any{"aud": "orders"})),
	} {
		answer := b.Post("/oauth2/token", form).Expect(t, http.StatusServiceUnavailable)
		expectHeader(t, answer, "Retry-After", "1")
		expectHeader(t, answer, "Cache-Control", "no-store")
		if answer.Members()["error"] != "temporarily_unavailable" || answer.AccessToken() != "" {
			t.Errorf("%s: %s", name, answer.Body)
		}
	}
	if n := len(b.upstream.Received()) - reached; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// expectSigning asks for the same while there is one.
func (b *keylessBench) expectSigning(t *testing.T) {
	t.Helper()
	b.Get("/", b.idp.Token(nil)).Expect(t, http.StatusOK)
	b.Post("/oauth2/token", harness.ServiceForm("orders", "grant_type", "client_credentials")).Expect(t, http.StatusOK)
}

// The only key is retired in an emergency: until its successor may sign nobody gets
// a token.
func TestNoKeyAfterRetirement(t *testing.T) {
	t.Parallel()
	b := newKeylessBench(t, "overlap 20s")
	b.expectSigning(t)
	n := &signingNode{Gateway: b.Gateway}
	if said, ok := b.Run("gatehouse", "keys", "retire", n.active(t), "--address", n.address()); !ok {
		t.Fatal(said)
	}
	b.expectKeyless(t)
	harness.Eventually(t, "the next key signs", b.signs)
	b.expectSigning(t)
}

// The storage is lost, or somebody with another secret has written over it. The key
// signs on for its grace, and then nothing is signed until the storage is back.
func TestNoKeyWithoutStorage(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(t *testing.T, document string){
		"unreadable": func(t *testing.T, document string) {
			t.Helper()
			if err := os.Mkdir(document, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"of another seal": func(t *testing.T, document string) {
			t.Helper()
			foreign := newKeylessBench(t, "subject plain")
			content, err := os.ReadFile(foreign.document(t))
			if err != nil {
				t.Fatal(err)
			}
			text := string(content)
			at := strings.Index(text, `"seal":"`) + len(`"seal":"`)
			if err := os.WriteFile(document, []byte(text[:at]+"another"+text[at:]), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newKeylessBench(t, "rotate 8s\noverlap 4s")
			document := b.document(t)
			if err := os.Rename(document, document+".good"); err != nil {
				t.Fatal(err)
			}
			spoil(t, document)
			b.expectSigning(t)
			harness.Eventually(t, "the last key has had its time", func() bool { return !b.signs() })
			b.expectKeyless(t)
			if len(b.Lines("looking after signing keys")) != 1 {
				t.Error("the log does not say once why")
			}
			if err := os.RemoveAll(document); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(document+".good", document); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, "the gateway signs again", b.signs)
			b.expectSigning(t)
		})
	}
}

// document is where the storage has the keys.
func (b *keylessBench) document(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.storage, "gatehouse", "*", "keyset.json"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v", found, err)
	}
	return found[0]
}
