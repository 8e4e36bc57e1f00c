package authserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// assertion reads a client assertion that this key signed, nil for any other.
func assertion(t *testing.T, r *http.Request, key *tokentest.Key) (jose.Header, map[string]any) {
	t.Helper()
	if r.PostForm.Get("client_assertion_type") != assertionJWT || r.PostForm.Has("client_secret") || r.Header.Get("Authorization") != "" {
		t.Error("not exactly one client authentication")
	}
	jws, err := jose.ParseJWS(r.PostForm.Get("client_assertion"))
	if err != nil {
		t.Error(err)
		return jose.Header{}, nil
	}
	set, err := jose.ParseKeySet(tokentest.Set(key))
	if err != nil {
		t.Error(err)
		return jose.Header{}, nil
	}
	if jws.VerifyWith(set.Keys[0], jose.Algorithm(jws.Header.Algorithm)) != nil {
		return jws.Header, nil
	}
	claims, err := jose.ParseObject(jws.Payload)
	if err != nil {
		t.Error(err)
	}
	return jws.Header, claims
}

func TestPrivateKeyJWT(t *testing.T) {
	for _, alg := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			j := newJudge(t)
			key, next := tokentest.NewKey(t, alg, ""), tokentest.NewKey(t, alg, "")
			path := filepath.Join(t.TempDir(), "key.pem")
			write(t, path, pemKey(t, key))
			auth, err := PrivateKeyJWT(KeyFile{Path: path, Algorithm: jose.Algorithm(alg), ID: "kid-1"},
				Assertion{Audience: AssertionAudience{Endpoint: true}})
			if err != nil {
				t.Fatal(err)
			}
			client := newTestClient(t, ClientOptions{TokenEndpoint: j.server.URL + "/token", TrustCA: trust(j.server), Auth: auth})
			seen := make(map[any]bool)
			expects := func(key *tokentest.Key) func(*http.Request) bool {
				return func(r *http.Request) bool {
					header, claims := assertion(t, r, key)
					if header.Type != DefaultAssertionType || header.KeyID != "kid-1" || header.Algorithm != alg {
						t.Errorf("header %+v", header)
					}
					if claims == nil {
						return false
					}
					if claims["iss"] != "gateway" || claims["sub"] != "gateway" || claims["aud"] != j.server.URL+"/token" || seen[claims["jti"]] {
						t.Errorf("claims %v", claims)
					}
					seen[claims["jti"]] = true
					return true
				}
			}
			j.accept(expects(key))
			if first, again := j.token(t, client), j.token(t, client); first != 1 || again != 1 || len(seen) != 2 {
				t.Errorf("%d and %d calls, %d assertions", first, again, len(seen))
			}
			write(t, path, pemKey(t, next))
			j.accept(expects(next))
			if first, again := j.token(t, client), j.token(t, client); first != 2 || again != 1 {
				t.Errorf("after the key changed: %d and %d calls", first, again)
			}
		})
	}
}

func requestOf(form url.Values) *http.Request {
	request := new(http.Request)
	request.PostForm = form
	return request
}

func TestAssertionShape(t *testing.T) {
	key := tokentest.NewKey(t, "ES256", "k")
	dir := t.TempDir()
	keyPath, certPath := filepath.Join(dir, "key"), filepath.Join(dir, "cert")
	write(t, keyPath, pemKey(t, key))
	write(t, certPath, certificateOf(t, key))
	now := time.Unix(1_800_000_000, 0)
	auth, err := PrivateKeyJWT(KeyFile{Path: keyPath}, Assertion{
		Audience: AssertionAudience{Value: "https://idp.example"}, Type: "JWT", Life: 2 * time.Minute, CertificateFile: certPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	made := &attempt{clientID: "gw", endpoint: "e", issuer: "i", now: now, form: url.Values{}, header: http.Header{}}
	if err := auth.authenticate(t.Context(), made); err != nil {
		t.Fatal(err)
	}
	header, claims := assertion(t, requestOf(made.form), key)
	if header.Type != "JWT" || header.KeyID != "" || header.Algorithm != "ES256" || claims["aud"] != "https://idp.example" {
		t.Errorf("header %+v, claims %v", header, claims)
	}
	full, err := jose.ParseObject(tokentest.Decode(t, strings.Split(made.form.Get("client_assertion"), ".")[0]))
	if err != nil {
		t.Fatal(err)
	}
	if thumbprint, _ := full["x5t#S256"].(string); len(thumbprint) != 43 {
		t.Errorf("x5t#S256 %q", thumbprint)
	}
	for _, bad := range []Assertion{{Life: 6 * time.Minute}, {Life: -1}, {CertificateFile: keyPath}, {CertificateFile: "/no/such"}} {
		if _, err := PrivateKeyJWT(KeyFile{Path: keyPath}, bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	// Without an issuer nobody knows for whom an assertion is.
	if auth, err = PrivateKeyJWT(KeyFile{Path: keyPath}, Assertion{}); err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(ClientOptions{ID: "a", Auth: auth, TokenEndpoint: "https://idp.example/t"}); !errors.Is(err, errNoAudience) {
		t.Error(err)
	}
}

func TestSecretJWT(t *testing.T) {
	j := newJudge(t)
	auth, err := SecretJWT(Assertion{Audience: AssertionAudience{Value: "a"}}, NewSecret(longSecret))
	if err != nil {
		t.Fatal(err)
	}
	client := newTestClient(t, ClientOptions{TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: auth})
	j.accept(func(r *http.Request) bool {
		parts := strings.Split(r.PostForm.Get("client_assertion"), ".")
		header, _ := jose.ParseObject(tokentest.Decode(t, parts[0]))
		claims, _ := jose.ParseObject(tokentest.Decode(t, parts[1]))
		again := tokentest.HS256([]byte(longSecret), header, claims)
		return header["alg"] == "HS256" && claims["aud"] == "a" && strings.HasSuffix(again, parts[2])
	})
	if got := j.token(t, client); got != 1 {
		t.Errorf("%d calls", got)
	}
	short, err := SecretJWT(Assertion{Audience: AssertionAudience{Value: "a"}}, NewSecret("short"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewClient(ClientOptions{ID: "a", Auth: short, TokenEndpoint: "https://idp.example/t"}); !errors.Is(err, errShortSecret) {
		t.Error(err)
	}
}

func TestFederated(t *testing.T) {
	j := newJudge(t)
	key := tokentest.NewKey(t, "ES256", "k")
	workload := func(id string, life time.Duration) string {
		return key.Sign(nil, map[string]any{"sub": "pod", "jti": id, "exp": time.Now().Add(life).Unix()})
	}
	path := filepath.Join(t.TempDir(), "token")
	first, second := workload("1", time.Hour), workload("2", time.Hour)
	write(t, path, []byte(first+"\n"))
	auth, err := Federated(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := newTestClient(t, ClientOptions{TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: auth})
	is := func(text string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			return r.PostForm.Get("client_assertion") == text && r.PostForm.Get("client_assertion_type") == assertionJWT
		}
	}
	j.accept(is(first))
	if got := j.token(t, client); got != 1 {
		t.Errorf("%d calls", got)
	}
	write(t, path, []byte(second))
	j.accept(is(second))
	if got := j.token(t, client); got != 2 {
		t.Errorf("%d calls after it changed", got)
	}
	for name, content := range map[string]string{"no JWT": "hello", "nothing": "", "too long": strings.Repeat("a", maxAssertion+1)} {
		write(t, path, []byte(content))
		if _, err := Federated(path, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// One that has expired is looked for again before it is sent.
func TestFederatedExpired(t *testing.T) {
	key := tokentest.NewKey(t, "ES256", "k")
	path := filepath.Join(t.TempDir(), "token")
	old := key.Sign(nil, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})
	fresh := key.Sign(nil, map[string]any{"exp": time.Now().Add(time.Minute).Unix()})
	write(t, path, []byte(old))
	auth, err := Federated(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, []byte(fresh))
	made := &attempt{clientID: "gw", now: time.Now(), form: url.Values{}}
	if err := auth.authenticate(t.Context(), made); err != nil || made.form.Get("client_assertion") != fresh {
		t.Errorf("the old one was sent, error %v", err)
	}
}

// A key that is weak or of no use is refused at load, and no error quotes a file.
func TestKeyFilesThatAreNone(t *testing.T) {
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"text": []byte("CANARY"), "nothing": nil, "a certificate": certificateOf(t, tokentest.NewKey(t, "ES256", "k")),
		"another curve": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"huge":          make([]byte, maxFileBytes+1),
	} {
		path := filepath.Join(t.TempDir(), "key")
		write(t, path, content)
		if _, err := PrivateKeyJWT(KeyFile{Path: path}, Assertion{}); err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
