package integration_test

import (
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/quic-go/quic-go/http3"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// versions are a client's ways to the bench's TLS site, by the major version of HTTP.
func (b *bench) versions(t *testing.T) map[int]http.RoundTripper {
	t.Helper()
	h1, h2 := &http.Transport{TLSClientConfig: anyCertificate()}, &http.Transport{TLSClientConfig: anyCertificate(), ForceAttemptHTTP2: true}
	h3 := &http3.Transport{TLSClientConfig: anyCertificate()}
	t.Cleanup(func() {
		h1.CloseIdleConnections()
		h2.CloseIdleConnections()
		_ = h3.Close()
	})
	ways := map[int]http.RoundTripper{1: h1, 2: h2, 3: h3}
	for version, way := range ways {
		harness.Eventually(t, "the site answers", func() bool {
			answer, err := way.RoundTrip(b.request(t, http.MethodGet, b.secure+"/"))
			if err != nil {
				return false
			}
			_ = answer.Body.Close()
			if answer.ProtoMajor != version {
				t.Fatalf("HTTP/%d was to be spoken, and the answer came over %s", version, answer.Proto)
			}
			return answer.StatusCode == http.StatusUnauthorized
		})
	}
	return ways
}

func (*bench) request(t *testing.T, method, url string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// HTTP/2 and HTTP/3 carry method and address in fields of their own. Proofs are
// held against them as clients know them, and are good once, whichever version
// they come by.
func TestDPoPOverEachVersion(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ways, token := b.versions(t), b.bound(nil)
	const path = "/dpop/a%2Fb/?c=d"
	// ask sends a request with the proof for a method and an address, and returns it
	// to be sent again.
	ask := func(version int, method, proofMethod, proofURL string, status int) *http.Request {
		t.Helper()
		request := b.request(t, method, b.secure+path)
		request.Header["Authorization"] = []string{"DPoP " + token}
		request.Header["Dpop"] = []string{b.holder.Proof(proofMethod, proofURL, token, "")}
		b.send(t, ways[version], request, status)
		return request
	}
	for _, version := range slices.Sorted(maps.Keys(ways)) {
		good := ask(version, http.MethodGet, http.MethodGet, b.secure+"/dpop/a%2Fb/", http.StatusOK)
		if got := b.upstream.Last(t); got.Method != http.MethodGet || got.Query != "c=d" || got.Header.Get("DPoP") != "" {
			t.Errorf("HTTP/%d: the upstream got %s ?%s, %v", version, got.Method, got.Query, got.Header)
		}
		for other, way := range ways {
			if challenge := b.send(t, way, good.Clone(t.Context()), http.StatusUnauthorized); challenge != badProof {
				t.Errorf("used over HTTP/%d, once more over HTTP/%d: %q", version, other, challenge)
			}
		}
		ask(version, http.MethodDelete, http.MethodDelete, b.secure+"/dpop/a%2Fb/", http.StatusOK)
		ask(version, http.MethodDelete, http.MethodGet, b.secure+"/dpop/a%2Fb/", http.StatusUnauthorized)
		ask(version, http.MethodGet, http.MethodGet, b.secure+"/dpop/other", http.StatusUnauthorized)
		ask(version, http.MethodGet, http.MethodGet, "http"+b.secure[len("https"):]+"/dpop/a%2Fb/", http.StatusUnauthorized)
		ask(version, http.MethodGet, http.MethodGet, "https://localhost/dpop/a%2Fb/", http.StatusUnauthorized)
		ask(version, http.MethodGet, http.MethodGet, b.URL+"/dpop/a%2Fb/", http.StatusUnauthorized)
	}
}

// send sends a request as it is, and returns the challenge of a refusal.
func (*bench) send(t *testing.T, way http.RoundTripper, request *http.Request, status int) (challenge string) {
	t.Helper()
	answer, err := way.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != status {
		t.Errorf("%s %s over %s: status %d, want %d; header %v", request.Method, request.URL, answer.Proto, answer.StatusCode, status, answer.Header)
	}
	return answer.Header.Get("WWW-Authenticate")
}
