package authserver

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

const longSecret = "CANARY-secret-of-more-than-32-bytes-length"

// write puts a file into a folder of the test. The name is new each time, so that
// a rename over an older file is a change whatever the clock says.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	fresh := filepath.Join(t.TempDir(), "fresh")
	if err := os.WriteFile(fresh, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
}

func pemKey(t *testing.T, key *tokentest.Key) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key.Private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// certificateOf makes a self-signed client certificate.
func certificateOf(t *testing.T, key *tokentest.Key) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: key.ID},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Private.Public(), key.Private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// A judge is a token endpoint that lets a request in if its proof is the one
// expected now.
type judge struct {
	mu     sync.Mutex
	good   func(r *http.Request) bool
	asked  int
	server *httptest.Server
	// refuses is how the others are refused.
	refuses func(w http.ResponseWriter, r *http.Request)
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	j := &judge{good: func(*http.Request) bool { return false }, refuses: func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusUnauthorized, `{"error":"invalid_client"}`)
	}}
	j.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		j.mu.Lock()
		defer j.mu.Unlock()
		j.asked++
		if !j.good(r) {
			j.refuses(w, r)
			return
		}
		writeJSON(w, http.StatusOK, goodAnswer)
	}))
	j.server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	j.server.StartTLS()
	t.Cleanup(j.server.Close)
	return j
}

func (j *judge) accept(good func(r *http.Request) bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.good, j.asked = good, 0
}

// token asks for a token and says how many requests that took, 0 if it failed.
func (j *judge) token(t *testing.T, client *Client) int {
	t.Helper()
	j.mu.Lock()
	j.asked = 0
	j.mu.Unlock()
	_, err := client.Token(t.Context(), url.Values{"subject_token": {"t"}})
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("a secret in %v", err)
		}
		return -j.asked
	}
	return j.asked
}

func secretIs(secret string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.PostForm.Get("client_secret") == secret }
}

// Old and new secret: the first is sent, the other once the server refuses it,
// and what works is remembered.
func TestTwoSecrets(t *testing.T) {
	j := newJudge(t)
	client := newTestClient(t, ClientOptions{
		TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: Post(NewSecret("old"), NewSecret("new")),
	})
	j.accept(secretIs("old"))
	for _, step := range []struct {
		secret string
		want   []int
	}{
		{"old", []int{1, 1}},
		{"new", []int{2, 1, 1}}, // the server has the new one now
		{"old", []int{2, 1}},
		{"third", []int{-2, -1, -1}}, // no second call for each refusal
	} {
		j.accept(secretIs(step.secret))
		for i, want := range step.want {
			if got := j.token(t, client); got != want {
				t.Errorf("%s, request %d: %d calls, want %d", step.secret, i, got, want)
			}
		}
	}
}

// Not every server says invalid_client of a wrong secret: Keycloak says
// unauthorized_client, and others nothing at all.
func TestTwoSecretsByOtherRefusals(t *testing.T) {
	for name, answer := range map[string]struct {
		status int
		body   string
		want   int // calls for the first token
	}{
		"unauthorized_client": {401, `{"error":"unauthorized_client"}`, 2},
		"bare 401":            {401, "no", 2},
		"bare 403":            {403, "", 2},
		"access_denied":       {403, `{"error":"access_denied"}`, -1}, // about the subject
		"invalid_grant":       {400, `{"error":"invalid_grant"}`, -1},
		"bare 400":            {400, "no", -1},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJudge(t)
			j.refuses = func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, answer.status, answer.body) }
			client := newTestClient(t, ClientOptions{
				TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: Post(NewSecret("old"), NewSecret("new")),
			})
			j.accept(secretIs("new"))
			if got := j.token(t, client); got != answer.want {
				t.Errorf("%d calls, want %d", got, answer.want)
			}
		})
	}
}

// A server that blames the client for something else must not make a wrong secret the
// preferred one: here of an audience that does not exist. The caller learns of that
// answer, and not of what the server says of the other secret.
func TestSecretThatWorksIsKept(t *testing.T) {
	j := newJudge(t)
	client := newTestClient(t, ClientOptions{
		TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: Post(NewSecret("good"), NewSecret("old")),
	})
	for _, other := range []struct {
		status int
		body   string
	}{{401, `{"error":"unauthorized_client"}`}, {429, ""}, {503, ""}} {
		j.accept(func(*http.Request) bool { return false })
		j.refuses = func(w http.ResponseWriter, r *http.Request) {
			if secretIs("good")(r) {
				writeJSON(w, http.StatusBadRequest, `{"error":"invalid_client"}`)
				return
			}
			writeJSON(w, other.status, other.body)
		}
		_, err := client.Token(t.Context(), url.Values{"audience": {"gone"}})
		if refusal, ok := errors.AsType[*Refusal](err); other.status == 401 && (!ok || refusal.Status != 400 || refusal.Code != "invalid_client") {
			t.Errorf("told %v", err)
		}
		j.accept(secretIs("good"))
		if got := j.token(t, client); got != 1 {
			t.Errorf("after %d: %d calls for a good audience", other.status, got)
		}
	}
}

func TestSecretFileChanges(t *testing.T) {
	j := newJudge(t)
	path := filepath.Join(t.TempDir(), "secret")
	write(t, path, []byte("one\n"))
	file, err := NewSecretFile(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := newTestClient(t, ClientOptions{TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: Post(file)})
	j.accept(secretIs("one"))
	if got := j.token(t, client); got != 1 {
		t.Errorf("%d calls", got)
	}
	write(t, path, []byte("two\r\n"))
	j.accept(secretIs("two"))
	if first, then := j.token(t, client), j.token(t, client); first != 2 || then != 1 {
		t.Errorf("%d and %d calls", first, then)
	}
	// What cannot be read changes nothing.
	write(t, path, nil)
	if got := j.token(t, client); got != 1 {
		t.Errorf("%d calls with an empty file", got)
	}
}

// The certificate is the proof: it changes with its files, and a server's alias
// for such clients is preferred.
func TestTLSClient(t *testing.T) {
	j := newJudge(t)
	metadata := httptest.NewServer(nil)
	t.Cleanup(metadata.Close)
	metadata.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, `{"issuer":"`+metadata.URL+`","token_endpoint":"https://wrong.invalid/token",
			"mtls_endpoint_aliases":{"token_endpoint":"`+j.server.URL+`/alias","x":1}}`)
	})
	server, err := NewServer(ServerOptions{Issuer: metadata.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	one, two := tokentest.NewKey(t, "ES256", "one"), tokentest.NewKey(t, "ES256", "two")
	dir := t.TempDir()
	files := CertificateFiles{filepath.Join(dir, "c"), filepath.Join(dir, "k")}
	write(t, files.Certificate, certificateOf(t, one))
	write(t, files.Key, pemKey(t, one))
	certificate, err := NewCertificate(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	auth := TLS(certificate)
	client := newTestClient(t, ClientOptions{Server: server, TrustCA: trust(j.server), Auth: auth})
	shows := func(name string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			return len(r.TLS.PeerCertificates) == 1 && r.TLS.PeerCertificates[0].Subject.CommonName == name &&
				r.URL.Path == "/alias" && r.PostForm.Get("client_id") == "gateway" && !r.PostForm.Has("client_secret")
		}
	}
	j.accept(shows("one"))
	if got := j.token(t, client); got != 1 {
		t.Fatalf("%d calls", got)
	}
	// Half of a pair is none: what fitted serves on.
	write(t, files.Key, pemKey(t, two))
	if got := j.token(t, client); got != 1 {
		t.Errorf("%d calls with half a pair", got)
	}
	write(t, files.Certificate, certificateOf(t, two))
	j.accept(shows("two"))
	if first, again := j.token(t, client), j.token(t, client); first != 2 || again != 1 {
		t.Errorf("after the certificate changed: %d and %d calls", first, again)
	}
	if _, err := NewCertificate(CertificateFiles{files.Certificate, files.Certificate}, nil); err == nil {
		t.Error("a certificate for a key: no error")
	}
}

func TestNone(t *testing.T) {
	j := newJudge(t)
	client := newTestClient(t, ClientOptions{TokenEndpoint: j.server.URL, TrustCA: trust(j.server), Auth: None()})
	j.accept(func(r *http.Request) bool {
		return r.PostForm.Get("client_id") == "gateway" && r.Header.Get("Authorization") == "" && len(r.PostForm) == 2
	})
	if got := j.token(t, client); got != 1 {
		t.Errorf("%d calls", got)
	}
}
