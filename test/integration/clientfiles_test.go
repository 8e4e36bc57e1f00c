package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// What proves the client changes on disk, and needs no reload: the first request that
// the server refuses for the old one goes through with the new one.
func TestClientFilesRotate(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	pod := func(key *tokentest.Key) []byte {
		return []byte(key.Sign(map[string]any{"typ": "JWT"}, map[string]any{
			"iss": "pod", "sub": "pod", "aud": idp.URL, "jti": "canary-of-" + key.ID, "exp": time.Now().Add(4 * time.Minute).Unix(),
		}))
	}
	for name, test := range map[string]struct {
		words   string
		content func(key *tokentest.Key) []byte
		rule    func(key *tokentest.Key) *harness.AssertionRule
	}{
		"key": {
			"auth private_key_jwt\nkey $FILE", func(key *tokentest.Key) []byte { return key.PEM(t) },
			func(key *tokentest.Key) *harness.AssertionRule {
				return &harness.AssertionRule{Key: key, Audience: idp.URL, Type: "client-authentication+jwt"}
			},
		},
		"assertion_file": {
			"auth federated\nassertion_file $FILE", pod,
			func(key *tokentest.Key) *harness.AssertionRule {
				return &harness.AssertionRule{Key: key, Audience: idp.URL, Type: "JWT", Subject: "pod", Often: true}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			before, after := tokentest.NewKey(t, "ES256", "before"), tokentest.NewKey(t, "ES256", "after")
			know := func(key *tokentest.Key) {
				rule := test.rule(key)
				idp.Authenticate(func(r *http.Request) bool { return rule.Accepts(t, r) })
			}
			replaceFile(t, path, test.content(before))
			know(before)
			caddyfile := strings.ReplaceAll(clientAuth, "$AUTH", strings.ReplaceAll(test.words, "$FILE", path))
			upstream := harness.NewUpstream(t)
			gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
			token := idp.Token(nil)
			gateway.Await("/", token, http.StatusOK)
			know(after)
			gateway.Get("/", token).Expect(t, http.StatusBadGateway)
			replaceFile(t, path, test.content(after))
			gateway.Get("/", token).Expect(t, http.StatusOK)
			// The old one is not sent any more, not even first.
			calls := len(idp.Forms())
			gateway.Get("/", token).Expect(t, http.StatusOK)
			if n := len(idp.Forms()) - calls; n != 1 {
				t.Errorf("%d calls for one request, after the change", n)
			}
		})
	}
}

// replaceFile puts another file in a file's place at one stroke.
func replaceFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".fresh", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".fresh", path); err != nil {
		t.Fatal(err)
	}
}
