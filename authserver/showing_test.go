package authserver

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// newCertificate makes a certificate in two files.
func newCertificate(t *testing.T, name string) *Certificate {
	t.Helper()
	key, dir := tokentest.NewKey(t, "ES256", name), t.TempDir()
	files := CertificateFiles{filepath.Join(dir, "c"), filepath.Join(dir, "k")}
	write(t, files.Certificate, certificateOf(t, key))
	write(t, files.Key, pemKey(t, key))
	made, err := NewCertificate(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// A client that shows a certificate proves itself as before; the answer tells what
// was shown. The client it was made of shows nothing.
func TestShowing(t *testing.T) {
	j, certificate := newJudge(t), newCertificate(t, "one")
	plain := newTestClient(t, ClientOptions{TokenEndpoint: j.server.URL, TrustCA: trust(j.server)})
	shows, err := plain.Showing(certificate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shows.Close)
	for client, want := range map[*Client]string{plain: "", shows: certificate.Thumbprint()} {
		j.accept(func(r *http.Request) bool {
			_, secret, _ := r.BasicAuth()
			return secret == testSecret && (len(r.TLS.PeerCertificates) == 1) == (want != "")
		})
		answer, err := client.Token(t.Context(), url.Values{"subject_token": {"t"}})
		if err != nil || answer.Shown != want {
			t.Errorf("shown %q, %v", answer.Shown, err)
		}
	}
}

// A server that does not ask sees nothing, so nothing was shown.
func TestShowingToWhoDoesNotAsk(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, goodAnswer) }))
	t.Cleanup(server.Close)
	shows, err := clientOf(t, server).Showing(newCertificate(t, "one"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shows.Close)
	if answer, err := shows.Token(t.Context(), url.Values{"subject_token": {"t"}}); err != nil || answer.Shown != "" {
		t.Errorf("shown %q, %v", answer.Shown, err)
	}
}

// A connection shows one certificate, and by TLS alone.
func TestShowingRefuses(t *testing.T) {
	own := newCertificate(t, "own")
	byTLS := newTestClient(t, ClientOptions{TokenEndpoint: "https://idp.example/token", Auth: TLS(own)})
	if same, err := byTLS.Showing(own); err != nil || same != byTLS {
		t.Errorf("its own certificate: %v", err)
	}
	if _, err := byTLS.Showing(newCertificate(t, "other")); err == nil || !strings.Contains(err.Error(), "another certificate") {
		t.Errorf("another certificate: %v", err)
	}
	plain := newTestClient(t, ClientOptions{TokenEndpoint: "http://127.0.0.1:1/token"})
	if _, err := plain.Showing(own); err == nil || !strings.Contains(err.Error(), "plain http") {
		t.Errorf("without TLS: %v", err)
	}
	if _, err := newTestClient(t, ClientOptions{TokenEndpoint: "http://127.0.0.1:1/token", Auth: TLS(own)}).Token(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "plain http") {
		t.Errorf("proving itself without TLS: %v", err)
	}
}
