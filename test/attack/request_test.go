package attack_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// The challenges of refusals. They are whole: nothing of a request is in them.
const (
	challengeInvalid   = `Bearer realm="gatehouse", error="invalid_token", error_description="The access token is not valid for this API."` + offersDPoP
	challengeMissing   = `Bearer realm="gatehouse"` + offersDPoP
	challengeMalformed = `Bearer realm="gatehouse", error="invalid_request", error_description="The request's credentials are malformed."`
	// What stands in a second header where a token may be bound to a key.
	offersDPoP       = "\n" + `DPoP realm="gatehouse", ` + algorithms
	challengeUnkeyed = `DPoP realm="gatehouse", error="invalid_token", error_description="The access token is not valid for this API.", ` + algorithms
	challengeProof   = `DPoP realm="gatehouse", error="invalid_dpop_proof", error_description="The DPoP proof is missing or not valid for this request.", ` + algorithms
	algorithms       = `algs="RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519"`
)

// patience bounds one request; tests that pass do not wait for it.
const patience = 30 * time.Second

// client follows no redirect. Its connections stay open for many requests.
var client = &http.Client{
	Timeout:       patience,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// request makes a request to the first site, or to another if url names one, with
// a bearer token if there is one.
func (w *world) request(method, url, token string) *http.Request {
	w.t.Helper()
	if strings.HasPrefix(url, "/") {
		url = w.gateway.URL + url
	} else {
		url = "http://" + url
	}
	request, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request
}

func (w *world) do(request *http.Request) harness.Answer {
	w.t.Helper()
	response, err := client.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.read(response)
}

func (w *world) read(response *http.Response) harness.Answer {
	w.t.Helper()
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return harness.Answer{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

func (w *world) get(url, token string) harness.Answer {
	w.t.Helper()
	return w.do(w.request(http.MethodGet, url, token))
}

// raw sends a request as it is written, one line an argument, for what Go's
// client would not send.
func (w *world) raw(site string, lines ...string) harness.Answer {
	w.t.Helper()
	site = strings.TrimPrefix(site, "http://")
	connection, err := net.DialTimeout("tcp", site, patience)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	_ = connection.SetDeadline(time.Now().Add(patience))
	text := lines[0] + "\r\nHost: " + site + "\r\n" + strings.Join(lines[1:], "\r\n") + "\r\n\r\n"
	if _, err := io.WriteString(connection, text); err != nil {
		w.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.read(response)
}

// accepted asks, expects 200 and returns what the upstream received: the proof
// that an attack is refused for the reason it should be.
func (w *world) accepted(url, token string) harness.Received {
	w.t.Helper()
	w.get(url, token).Expect(w.t, http.StatusOK)
	return w.upstream.Last(w.t)
}

// refused asks and expects a 401 for a bad token, word for word, and that nothing
// reached an upstream.
func (w *world) refused(url, token string) {
	w.t.Helper()
	w.refusedAs(w.request(http.MethodGet, url, token), http.StatusUnauthorized, challengeInvalid)
}

func (w *world) refusedAs(request *http.Request, status int, challenge string) harness.Answer {
	w.t.Helper()
	before := len(w.upstream.Received())
	answer := w.do(request).Expect(w.t, status)
	if got := strings.Join(answer.Header.Values("WWW-Authenticate"), "\n"); got != challenge {
		w.t.Errorf("challenge %q, want %q", got, challenge)
	}
	if !strings.Contains(answer.Header.Get("Cache-Control"), "no-store") {
		w.t.Errorf("the refusal may be stored: Cache-Control %q", answer.Header["Cache-Control"])
	}
	if after := len(w.upstream.Received()); after != before {
		w.t.Error("the upstream was reached")
	}
	return answer
}

// allRefused refuses each token, by the name of what is wrong with it.
func allRefused(t *testing.T, path string, tokens map[string]string) {
	t.Helper()
	for name, token := range tokens {
		t.Run(name, func(t *testing.T) { attacked(t).refused(path, token) })
	}
}

// A trap is a server of the attacker's, which publishes his key under every path.
type trap struct {
	URL string
	// connections counts what was accepted, whatever came over it.
	connections atomic.Int64
}

func newTrap(tb testing.TB, key *tokentest.Key) *trap {
	tb.Helper()
	t := new(trap)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/.well-known/") {
			_, _ = rw.Write(tokentest.JSON(map[string]any{"issuer": t.URL, "jwks_uri": t.URL + "/jwks"}))
			return
		}
		_, _ = rw.Write(tokentest.Set(key))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			t.connections.Add(1)
		}
	}
	server.Start()
	tb.Cleanup(server.Close)
	t.URL = server.URL
	return t
}

// untouched fails the test if the gateway connected to the trap.
func (t *trap) untouched(tb testing.TB) {
	tb.Helper()
	if n := t.connections.Load(); n != 0 {
		tb.Errorf("the gateway connected to the attacker's server %d times", n)
	}
}

var heapInUse = regexp.MustCompile(`(?m)^go_memstats_heap_inuse_bytes (\S+)$`)

// heap is how many bytes of heap the gateway uses.
func (w *world) heap() int64 {
	w.t.Helper()
	match := heapInUse.FindStringSubmatch(w.gateway.Metrics())
	if match == nil {
		w.t.Fatal("the metrics do not tell the size of the heap")
	}
	bytes, err := strconv.ParseFloat(match[1], 64)
	if err != nil {
		w.t.Fatal(err)
	}
	return int64(bytes)
}

// flat runs an attack and fails the test if the gateway's heap grew by more than
// what one collection of garbage leaves.
func (w *world) flat(attack func()) {
	w.t.Helper()
	const most = 64 << 20
	before := w.heap()
	attack()
	if grown := w.heap() - before; grown > most {
		w.t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}
