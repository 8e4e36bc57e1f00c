//go:build interop

package clients_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/dev/interop/node"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}

const billing = "https://billing.example.com"

// A client of the library gets tokens in every way that the token service has, asks
// about them, revokes one, and uses a bound one at an API.
func TestOAuth4WebAPI(t *testing.T) { testClient(t, "oauth4webapi.mjs") }

// openid-client stands on oauth4webapi, and does by itself what an application does
// there, such as asking again with a nonce.
func TestOpenIDClient(t *testing.T) { testClient(t, "openid-client.mjs") }

// testClient runs a client's script, with an issuer at the root and with one that
// has a path, which is found by another rule (RFC 8414, section 3.1).
func testClient(t *testing.T, script string) {
	t.Helper()
	node.Install(t, node.Folder("interop/clients"))
	for name, path := range map[string]string{"issuer without path": "", "issuer with path": "/mesh"} {
		t.Run(name, func(t *testing.T) {
			s := start(t, path)
			got := s.run(t, script)
			s.found(t, got)
			s.own(t, got)
			s.exchanged(t, got)
			s.asked(t, got)
			s.bound(t, got)
		})
	}
}

// A stage is a gateway with a token service, and the issuer of its callers.
type stage struct {
	*harness.Gateway

	issuer string
	idp    *harness.AuthServer
	key    *tokentest.Key
}

func start(t *testing.T, path string) *stage {
	t.Helper()
	s := &stage{idp: harness.NewAuthServer(t), key: tokentest.NewKey(t, "ES256", "orders-1")}
	keys := filepath.Join(t.TempDir(), "orders.jwks.json")
	if err := os.WriteFile(keys, tokentest.Set(s.key), 0o600); err != nil {
		t.Fatal(err)
	}
	caddyfile, err := os.ReadFile(filepath.Join(node.Folder("interop/clients"), "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	s.Gateway = harness.Start(t, string(bytes.ReplaceAll(caddyfile, []byte("$ISSUER"), []byte("$SITE"+path))),
		"$IDP", s.idp.URL, "$KEYS", keys, "$HASH", harness.ServiceHash())
	s.issuer = s.URL + path
	s.Await("/", s.idp.Token(map[string]any{"aud": "orders"}), http.StatusOK)
	// The API has the gateway's keys as soon as it takes one of its tokens, however
	// it is bound.
	reference := s.Post("/oauth2/token", harness.ServiceForm("nightly", "grant_type", "client_credentials")).Expect(t, http.StatusOK)
	request := s.PostRequest("/oauth2/introspect", harness.ServiceForm(billing, "token", reference.AccessToken()))
	request.Header.Set("Accept", "application/jwt")
	s.Await("/", s.Do(request).Expect(t, http.StatusOK).Body, http.StatusOK)
	return s
}

// An answer is one of the token endpoint, as a library hands it on.
type answer struct {
	Token    string `json:"access_token"`
	Type     string `json:"token_type"`
	Issued   string `json:"issued_token_type"`
	Scope    string `json:"scope"`
	Lifetime int    `json:"expires_in"`
	Refresh  string `json:"refresh_token"`
}

// is compares all but the token itself. A second may have gone by.
func (a answer) is(t *testing.T, want answer) {
	t.Helper()
	if a.Lifetime < 90 || a.Lifetime > 120 {
		t.Errorf("it lives %d seconds", a.Lifetime)
	}
	want.Token, want.Lifetime = a.Token, a.Lifetime
	if diff := cmp.Diff(want, a); diff != "" {
		t.Error(diff)
	}
}

// A refusal is an error of a library.
type refusal struct {
	Code, Error string
	Status      int
}

// A report is what a script got.
type report struct {
	Metadata                    map[string]any
	Assertion, Secret, Exchange answer
	Bound, BoundExchange        answer
	Wrong, Target, Bearer       refusal
	Described, Signed, Revoked  map[string]any
	Verified                    map[string]any // by oauth4webapi alone
	Thumbprint, API             string
	Challenges                  *int // by oauth4webapi alone: the other hides them
}

// run runs a script to its end.
func (s *stage) run(t *testing.T, script string) report {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.key.Private)
	if err != nil {
		t.Fatal(err)
	}
	var got report
	runScript(t, script, map[string]string{
		"issuer": s.issuer, "key": base64.StdEncoding.EncodeToString(der), "kid": s.key.ID, "secret": harness.ServiceSecret,
		"subject": s.idp.Token(map[string]any{"aud": "orders", "scope": "billing:read admin"}),
		"api":     s.URL + "/billing/invoices", "audience": billing,
	}, &got)
	return got
}

// runScript gives a script its settings, and reads what it reports.
func runScript(t *testing.T, script string, settings map[string]string, report any) {
	t.Helper()
	told, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", script)
	command.Dir, command.Stdin = node.Folder("interop/clients"), bytes.NewReader(told)
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, complaints.String())
	}
	if err := json.Unmarshal(out.Bytes(), report); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// found: the metadata names what the gateway offers (RFC 8414).
func (s *stage) found(t *testing.T, got report) {
	t.Helper()
	for name, want := range map[string]any{
		"issuer": s.issuer, "token_endpoint": s.URL + "/oauth2/token", "jwks_uri": s.URL + "/oauth2/jwks",
		"introspection_endpoint": s.URL + "/oauth2/introspect", "revocation_endpoint": s.URL + "/oauth2/revoke",
	} {
		if got.Metadata[name] != want {
			t.Errorf("metadata: %s is %v, want %v", name, got.Metadata[name], want)
		}
	}
}

// own: tokens for the clients themselves.
func (s *stage) own(t *testing.T, got report) {
	t.Helper()
	claims := harness.Claims(t, got.Assertion.Token)
	if claims["sub"] != "client:orders" || claims["aud"] != billing || claims["scope"] != "billing:read" || claims["iss"] != s.issuer {
		t.Errorf("by an assertion: %v", claims)
	}
	got.Assertion.is(t, answer{Type: "bearer", Scope: "billing:read"})
	got.Secret.is(t, answer{Type: "bearer", Scope: "billing:read"})
	if !strings.HasPrefix(got.Secret.Token, "ghr_") {
		t.Errorf("by a secret: %q is no reference", got.Secret.Token)
	}
	if diff := cmp.Diff(refusal{"OAUTH_WWW_AUTHENTICATE_CHALLENGE", "", http.StatusUnauthorized}, got.Wrong); diff != "" {
		t.Errorf("a wrong secret: %s", diff)
	}
}

// exchanged: a token for the caller.
func (s *stage) exchanged(t *testing.T, got report) {
	t.Helper()
	claims := harness.Claims(t, got.Exchange.Token)
	act, _ := claims["act"].(map[string]any)
	if claims["sub"] != "alice" || claims["aud"] != billing || claims["client_id"] != "orders" || act["sub"] != "client:orders" {
		t.Errorf("exchanged: %v", claims)
	}
	got.Exchange.is(t, answer{Type: "bearer", Issued: harness.TypeAccessToken, Scope: "billing:read"})
	if got.Verified != nil {
		if diff := cmp.Diff(claims, got.Verified); diff != "" {
			t.Errorf("verified: %s", diff)
		}
	}
	if diff := cmp.Diff(refusal{"OAUTH_RESPONSE_BODY_ERROR", "invalid_target", http.StatusBadRequest}, got.Target); diff != "" {
		t.Errorf("another target: %s", diff)
	}
}

// asked: introspection, plain and signed (RFC 9701), and revocation.
func (s *stage) asked(t *testing.T, got report) {
	t.Helper()
	if said := got.Described; said["active"] != true || said["sub"] != "client:nightly" || said["aud"] != billing {
		t.Errorf("about the reference: %v", said)
	}
	if said := got.Signed; said["active"] != true || said["sub"] != "alice" || said["token_type"] != "Bearer" {
		t.Errorf("about the exchanged token: %v", said)
	}
	if diff := cmp.Diff(map[string]any{"active": false}, got.Revoked); diff != "" {
		t.Errorf("about the revoked reference: %s", diff)
	}
}

// bound: tokens that are bound to the client's key are used at an API.
func (s *stage) bound(t *testing.T, got report) {
	t.Helper()
	for name, one := range map[string]answer{"client:orders": got.Bound, "alice": got.BoundExchange} {
		claims := harness.Claims(t, one.Token)
		if one.Type != "dpop" || claims["sub"] != name {
			t.Errorf("bound: %s, %v", one.Type, claims)
		}
		if diff := cmp.Diff(map[string]any{"jkt": got.Thumbprint}, claims["cnf"]); diff != "" {
			t.Errorf("bound: %s", diff)
		}
	}
	if got.API != "alice" {
		t.Errorf("the API said %q", got.API)
	}
	if diff := cmp.Diff(refusal{"OAUTH_WWW_AUTHENTICATE_CHALLENGE", "", http.StatusUnauthorized}, got.Bearer); diff != "" {
		t.Errorf("as a bearer token: %s", diff)
	}
	// The clients remember one nonce for all that is at one address. That of the
	// token endpoint is good at the API.
	if got.Challenges != nil && *got.Challenges != 1 {
		t.Errorf("a nonce was asked for %d times", *got.Challenges)
	}
}
