package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	testVerifier = "a-verifier-that-is-long-enough-for-rfc-7636-section-4-1"
	testRedirect = "http://127.0.0.1:8080/callback"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorization are the parameters of a good authorization request.
func authorization(changes ...string) url.Values {
	values := url.Values{
		"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {testRedirect}, "scope": {"openid email orders:read"},
		"state": {"the state"}, "nonce": {"the nonce"}, "code_challenge": {challengeOf(testVerifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
	}
	return values
}

// loginID goes to the login page and returns the sign-in's id.
func (g *rig) loginID() string {
	g.t.Helper()
	answer := g.get(pathAuthorize + "?" + authorization().Encode())
	location, err := url.Parse(answer.header.Get("Location"))
	if err != nil || answer.status != http.StatusFound || !strings.HasSuffix(location.Path, pathLogin) {
		g.t.Fatalf("authorize: %d %q %s", answer.status, answer.header.Get("Location"), answer.body)
	}
	return location.Query().Get("id")
}

func (g *rig) signIn(id, password string) reply {
	g.t.Helper()
	return g.must(g.request(http.MethodPost, pathLogin, url.Values{"id": {id}, "username": {"alice"}, "password": {password}}))
}

// code signs alice in and returns the parameters of the callback.
func (g *rig) code() url.Values {
	g.t.Helper()
	answer := g.signIn(g.loginID(), "alice-password")
	location, err := url.Parse(answer.header.Get("Location"))
	if err != nil || answer.status != http.StatusSeeOther || !strings.HasPrefix(location.String(), testRedirect+"?") {
		g.t.Fatalf("sign-in: %d %q", answer.status, answer.header.Get("Location"))
	}
	return location.Query()
}

func redemption(code string, changes ...string) url.Values {
	values := url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"web"}, "code": {code},
		"redirect_uri": {testRedirect}, "code_verifier": {testVerifier},
	}
	for i := 0; i < len(changes); i += 2 {
		values.Set(changes[i], changes[i+1])
	}
	return values
}

func TestCodeFlow(t *testing.T) {
	g := start(t, "/realms/main", nil)
	callback := g.code()
	if callback.Get("state") != "the state" || callback.Get("iss") != g.issuer {
		t.Errorf("callback %v", callback)
	}
	answer := g.must(g.request(http.MethodPost, pathToken, redemption(callback.Get("code"))))
	members := answer.json(t)
	if answer.status != http.StatusOK {
		t.Fatalf("%d %s", answer.status, answer.body)
	}
	access, id := g.decode(text(members, "access_token")), g.decode(text(members, "id_token"))
	got := []any{access.claims["sub"], access.claims["aud"], access.claims["scope"], access.claims["client_id"], access.claims["tenant"]}
	want := []any{"alice", []any{"https://api.example.com"}, "openid email orders:read", "web", "acme"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	got = []any{id.verified, id.claims["sub"], id.claims["aud"], id.claims["nonce"], id.claims["email"], text(id.claims, "at_hash") != ""}
	if diff := cmp.Diff([]any{true, "alice", []any{"web"}, "the nonce", "alice@example.com", true}, got); diff != "" {
		t.Error(diff)
	}
	again := g.must(g.request(http.MethodPost, pathToken, redemption(callback.Get("code"))))
	if text(again.json(t), "error") != "invalid_grant" {
		t.Errorf("a code worked twice: %s", again.body)
	}
}

func TestCodeRedemptionRefused(t *testing.T) {
	tests := map[string]struct{ change []string }{
		"wrong verifier":   {[]string{"code_verifier", testVerifier + "x"}},
		"no verifier":      {[]string{"code_verifier", ""}},
		"another redirect": {[]string{"redirect_uri", "http://127.0.0.1:8080/other"}},
		"another code":     {[]string{"code", "guessed"}},
		"another client":   {[]string{"client_id", "rival"}},
	}
	g := start(t, "", nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := g.must(g.request(http.MethodPost, pathToken, redemption(g.code().Get("code"), test.change...)))
			if answer.status != http.StatusBadRequest {
				t.Errorf("%d %s", answer.status, answer.body)
			}
		})
	}
}

func TestAuthorizeRefused(t *testing.T) {
	tests := map[string]struct {
		change []string
		// redirected is the error the client gets; empty: nothing goes to the
		// redirect URI, because it cannot be trusted.
		redirected string
	}{
		"unknown client":   {change: []string{"client_id", "nobody"}},
		"foreign redirect": {change: []string{"redirect_uri", "http://127.0.0.1:8080/evil"}},
		"no PKCE":          {[]string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		"plain PKCE":       {[]string{"code_challenge_method", "plain"}, "invalid_request"},
		"implicit":         {[]string{"response_type", "id_token"}, "unauthorized_client"},
		"foreign target":   {[]string{"resource", "payroll"}, "invalid_target"},
		"prompt none":      {[]string{"prompt", "none"}, "login_required"},
	}
	g := start(t, "", nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			answer := g.get(pathAuthorize + "?" + authorization(test.change...).Encode())
			location, err := url.Parse(answer.header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			values := location.Query()
			if location.Fragment != "" { // response_type id_token answers in the fragment
				if values, err = url.ParseQuery(location.Fragment); err != nil {
					t.Fatal(err)
				}
			}
			if values.Get("error") != test.redirected || (test.redirected == "" && answer.status != http.StatusBadRequest) {
				t.Errorf("%d %q %s", answer.status, location, answer.body)
			}
		})
	}
}

func TestLoginPage(t *testing.T) {
	g := start(t, "", nil)
	id := g.loginID()
	page := g.get(pathLogin + "?id=" + id)
	if page.status != http.StatusOK || !strings.Contains(page.body, id) || !strings.Contains(page.body, "orders:read") {
		t.Errorf("%d %s", page.status, page.body)
	}
	policy := page.header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "form-action 'self' http://127.0.0.1:8080") {
		t.Errorf("policy %q", policy)
	}
	wrong := g.signIn(id, "guess")
	if wrong.status != http.StatusUnauthorized || wrong.header.Get("Location") != "" || !strings.Contains(wrong.body, "Wrong name or password") {
		t.Errorf("wrong password: %d", wrong.status)
	}
	if status := g.signIn(id, "alice-password").status; status != http.StatusSeeOther {
		t.Errorf("the right password after a wrong one: %d", status)
	}
	if status := g.signIn(id, "alice-password").status; status != http.StatusBadRequest {
		t.Errorf("one sign-in worked twice: %d", status)
	}
	unknown := g.must(g.request(http.MethodPost, pathLogin, url.Values{"id": {g.loginID()}, "username": {"nobody"}, "password": {""}}))
	if unknown.status != http.StatusUnauthorized {
		t.Errorf("an unknown user with no password: %d", unknown.status)
	}
}

func TestLoginPageEscapes(t *testing.T) {
	g := start(t, "", nil)
	answer := g.must(g.request(http.MethodPost, pathLogin, url.Values{"id": {g.loginID()}, "username": {`"><script>x</script>`}}))
	if strings.Contains(answer.body, "<script>") {
		t.Error("the name came back as markup")
	}
}

func TestSignInsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newLoginBook()
		slow := book.open(login{})
		<-time.After(loginLifetime + time.Second) // the bubble's clock, not the wall's
		if _, _, ok := book.finish(slow, "alice"); ok {
			t.Error("a sign-in outlived its time")
		}
		code, _, ok := book.finish(book.open(login{}), "alice")
		if !ok {
			t.Fatal("a fresh sign-in failed")
		}
		<-time.After(codeLifetime + time.Second)
		if _, ok := book.redeem(code); ok {
			t.Error("a code outlived its time")
		}
	})
}
