package demo

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTakeLine holds the demo to what it says of the log: the faults token is
// taken out, the audit trail is read, and something like a token is noticed.
func TestTakeLine(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	g := &gateway{log: file}
	g.takeLine("dev_idp http://127.0.0.1:9000 faults token: SECRET")
	g.takeLine(nobody)
	g.takeLine("some text")
	if g.faultsToken() != "SECRET" || g.tokensLogged() != 0 {
		t.Errorf("faults token %q, %d lines with tokens", g.faultsToken(), g.tokensLogged())
	}
	var followed []Decision
	g.followTrail(func(d Decision) { followed = append(followed, d) })
	g.takeLine(exchange)
	g.takeLine(`{"msg":"eyJhbGciOi"}`)
	if len(followed) != 1 || len(g.decisions("/orders/")) != 2 || len(g.decisions("/reports/")) != 0 {
		t.Errorf("followed %v of %v", followed, g.decisions("/"))
	}
	if g.tokensLogged() != 1 {
		t.Errorf("%d lines with tokens, want 1", g.tokensLogged())
	}
	if tail := g.logTail(); strings.Contains(tail, "SECRET") || !strings.Contains(tail, "some text") {
		t.Errorf("log:\n%s", tail)
	}
}

func TestCheckPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	err = checkPort(t.Context(), port, "the API")
	for _, want := range []string{"port " + port, "the API", "mend: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	_ = listener.Close()
	if err := checkPort(t.Context(), port, "the API"); err != nil {
		t.Error(err)
	}
}

// TestQuickstartIsWhereTheDemoLooks compares the fixed addresses and names with
// the Caddyfile.
func TestQuickstartIsWhereTheDemoLooks(t *testing.T) {
	text, err := os.ReadFile("../../examples/quickstart/Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\n" + apiURL + " {", "\n" + providerURL + " {", "\nhttp://127.0.0.1:" + upstreamPort + " {",
		"admin " + strings.TrimPrefix(adminURL, "http://"), "user alice ", "client web ", "client app app-secret",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in the quickstart", want)
		}
	}
	for _, port := range ports {
		if !strings.Contains(string(text), ":"+port.number) {
			t.Errorf("port %s is not in the quickstart", port.number)
		}
	}
}

func TestRequestsOf(t *testing.T) {
	const metrics = `# TYPE caddy_http_requests_total counter
caddy_http_requests_total{handler="subroute",server="srv0"} 7
caddy_http_requests_total{handler="subroute",server="srv2"} 143
caddy_http_requests_total{handler="static_response",server="srv2"} 9
`
	for server, want := range map[string]int{"srv0": 7, "srv2": 143, "srv1": 0, "srv": 0} {
		if got := requestsOf(server, metrics); got != want {
			t.Errorf("%s: %d, want %d", server, got, want)
		}
	}
}

func TestAwait(t *testing.T) {
	looks := 0
	if err := await(t.Context(), "third look", func(context.Context) bool { looks++; return looks == 3 }); err != nil || looks != 3 {
		t.Error(looks, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := await(ended, "the impossible", func(context.Context) bool { return false }); !errors.Is(err, errNever) || !strings.Contains(err.Error(), "the impossible") {
		t.Error(err)
	}
}

// TestRush holds the load to its plan: the key is rotated once the old one has
// signed enough, and the callers end once the new one has.
func TestRush(t *testing.T) {
	r, full := newRush("old"), false
	r.full = func() { full = true }
	isHalf := func() bool {
		select {
		case <-r.half:
			return true
		default:
			return false
		}
	}
	for i := range perKey {
		if isHalf() {
			t.Fatalf("half after %d", i)
		}
		r.note("old", 200)
	}
	if !isHalf() {
		t.Error("not half")
	}
	r.note("old", 401)
	for i := range perKey {
		if full {
			t.Fatalf("full after %d", i)
		}
		r.note("new", 200)
	}
	if !full || r.oldKey != perKey+1 || r.newKey != perKey || r.status[401] != 1 || r.status[200] != 2*perKey {
		t.Errorf("full %v, %d old, %d new, %v", full, r.oldKey, r.newKey, r.status)
	}
}
