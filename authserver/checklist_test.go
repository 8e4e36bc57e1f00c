package authserver

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// The rows of the checklist of a token endpoint's client that concern how it proves
// itself; the others are in package exchange.

// RFC 8693, section 2.1: whoever holds a stolen token could use the server without
// it. There is no client without a proof unless it says so.
func TestExchangeC7Authenticated(t *testing.T) {
	if _, err := NewClient(ClientOptions{ID: "gateway", TokenEndpoint: "https://idp.example/token"}); err == nil {
		t.Error("a client without a way to prove itself is taken")
	}
	j := newJudge(t)
	j.accept(func(r *http.Request) bool { return r.PostForm.Get("client_secret") == longSecret })
	client := newTestClient(t, ClientOptions{TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: Post(NewSecret(longSecret))})
	if got := j.token(t, client); got != 1 {
		t.Errorf("%d calls", got)
	}
	none := newTestClient(t, ClientOptions{TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: None()})
	if got := j.token(t, none); got >= 0 {
		t.Errorf("a client that proves nothing was let in")
	}
}

// signing returns a client with private_key_jwt at a server that is found by
// discovery, and the key.
func signing(t *testing.T, endpoint string, trusted [][]byte, life time.Duration) (*Client, *tokentest.Key, string) {
	t.Helper()
	issuer := httptest.NewServer(nil)
	t.Cleanup(issuer.Close)
	issuer.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, `{"issuer":"`+issuer.URL+`","token_endpoint":"`+endpoint+`"}`)
	})
	server, err := NewServer(ServerOptions{Issuer: issuer.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	key, path := tokentest.NewKey(t, "ES256", "k"), filepath.Join(t.TempDir(), "key")
	write(t, path, pemKey(t, key))
	auth, err := PrivateKeyJWT(KeyFile{Path: path}, Assertion{Life: life})
	if err != nil {
		t.Fatal(err)
	}
	return newTestClient(t, ClientOptions{Server: server, TrustCA: trusted, Auth: auth}), key, issuer.URL
}

// RFC 7523, section 3: iss and sub are the client, exp is near, jti is new each
// time, after a refusal too.
func TestExchangeC9FreshAssertions(t *testing.T) {
	j := newJudge(t)
	client, key, _ := signing(t, j.server.URL, trust(j.server), 0)
	seen := make(map[any]bool)
	good := true
	j.accept(func(r *http.Request) bool {
		_, claims := assertion(t, r, key)
		var expiry int64
		if _, err := fmt.Sscan(fmt.Sprint(claims["exp"]), &expiry); err != nil {
			t.Error(err)
		}
		left := time.Until(time.Unix(expiry, 0))
		if claims["iss"] != "gateway" || claims["sub"] != "gateway" || left <= 0 || left > 61*time.Second || seen[claims["jti"]] {
			t.Errorf("claims %v, %s left", claims, left)
		}
		seen[claims["jti"]] = true
		return good
	})
	for _, fine := range []bool{true, true, false, true} {
		good = fine
		j.token(t, client)
	}
	if len(seen) < 4 {
		t.Errorf("%d assertions for four attempts", len(seen))
	}
}

// The audience of an assertion is the issuer alone: a server that is asked as
// another's could use it there otherwise.
func TestExchangeC10AudienceIsTheIssuer(t *testing.T) {
	j := newJudge(t)
	client, key, issuer := signing(t, j.server.URL, trust(j.server), 0)
	j.accept(func(r *http.Request) bool {
		header, claims := assertion(t, r, key)
		return claims["aud"] == issuer && header.Type == "client-authentication+jwt"
	})
	if got := j.token(t, client); got != 1 {
		t.Errorf("%d calls", got)
	}
}

// RFC 8705, section 5: clients with certificates go to the alias; others do not.
func TestExchangeC15AliasForCertificates(t *testing.T) {
	j := newJudge(t)
	issuer := httptest.NewServer(nil)
	t.Cleanup(issuer.Close)
	issuer.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, `{"issuer":"`+issuer.URL+`","token_endpoint":"`+j.server.URL+`/plain",
			"mtls_endpoint_aliases":{"token_endpoint":"`+j.server.URL+`/alias"}}`)
	})
	server, err := NewServer(ServerOptions{Issuer: issuer.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	key, dir := tokentest.NewKey(t, "ES256", "k"), t.TempDir()
	files := CertificateFiles{filepath.Join(dir, "c"), filepath.Join(dir, "k")}
	write(t, files.Certificate, certificateOf(t, key))
	write(t, files.Key, pemKey(t, key))
	certificate, err := NewCertificate(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	byCertificate := TLS(certificate)
	for path, auth := range map[string]ClientAuth{"/alias": byCertificate, "/plain": Basic(NewSecret(longSecret))} {
		client := newTestClient(t, ClientOptions{Server: server, TrustCA: trust(j.server), Auth: auth})
		j.accept(func(r *http.Request) bool { return r.URL.Path == path })
		if got := j.token(t, client); got != 1 {
			t.Errorf("%s: %d calls", path, got)
		}
	}
}

// RFC 8414, section 3.3: metadata that names another issuer is nobody's, and
// nothing is sent to the endpoint in it.
func TestExchangeC16MetadataNamesTheIssuer(t *testing.T) {
	j := newJudge(t)
	j.accept(func(*http.Request) bool { return true })
	for _, name := range []string{"https://evil.example", "", "$URL/", "$URL/other"} {
		issuer := httptest.NewServer(nil)
		t.Cleanup(issuer.Close)
		if len(name) > 4 && name[:4] == "$URL" {
			name = issuer.URL + name[4:]
		}
		issuer.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, http.StatusOK, `{"issuer":"`+name+`","token_endpoint":"`+j.server.URL+`"}`)
		})
		server, err := NewServer(ServerOptions{Issuer: issuer.URL})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		client := newTestClient(t, ClientOptions{Server: server, TrustCA: trust(j.server), Auth: Basic(NewSecret(longSecret))})
		if _, err := client.Token(t.Context(), url.Values{"subject_token": {"t"}}); !errors.Is(err, ErrMetadata) || errors.Is(err, httpx.ErrUnreachable) {
			t.Errorf("issuer %q: %v", name, err)
		}
	}
	if j.asked != 0 {
		t.Errorf("the endpoint was asked %d times", j.asked)
	}
}
