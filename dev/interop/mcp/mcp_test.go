//go:build interop

package mcp_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/dev/interop/node"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}

// orders is the MCP server's own audience.
const orders = "https://orders.example.com"

// A stage is an MCP server behind a gateway that runs examples/mcp, and
// oidc-provider.
type stage struct {
	gateway  *harness.Gateway
	provider *node.Provider
	server   *harness.Process
	url      string // of the MCP server, as its clients know it
}

// start starts all of it. lifetime is that of the client's tokens, in seconds.
func start(t *testing.T, lifetime int, changes ...string) *stage {
	t.Helper()
	t.Setenv("GATEWAY_SECRET", node.GatewaySecret)
	site := "http://" + harness.FreeAddress(t)
	s := &stage{url: site + "/mcp"}
	s.provider = node.NewProvider(t, map[string]node.Resource{
		s.url:  {Scope: "orders:read orders:write", Format: "jwt", TTL: lifetime},
		orders: {Scope: "orders:read orders:write", Format: "jwt"},
	})
	address := harness.FreeAddress(t)
	s.server = node.Start(t, node.Folder("interop/mcp"), "server.mjs", address, s.provider.Issuer, orders)
	caddyfile, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "mcp", "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	s.gateway = harness.Start(t, strings.NewReplacer(
		"https://idp.example.com/realms/main", s.provider.Issuer,
		"https://api.example.com/mcp", s.url,
		"\napi.example.com {", "\n"+site+" {",
		"audience orders\n", "audience "+orders+"\n",
		"orders.internal:8080", address,
	).Replace(strings.NewReplacer(changes...).Replace(string(caddyfile))))
	return s
}

// A login is one authorization request of the SDK.
type login struct {
	Why, Scope, Resource, PKCE, At string
}

// A report is what client.mjs says.
type report struct {
	Logins     []login
	Registered map[string]any
	Tools      []string
	Heard      []string
	Progress   []int
	Read       string
	Count      string
	Cancel     string
	Failed     string
	Tokens     []string

	// With --outlive.
	Errors      []string
	SameSession bool
}

// client runs the SDK's client to its end.
func (s *stage) client(t *testing.T, arguments ...string) report {
	t.Helper()
	command := exec.CommandContext(t.Context(), "node", append([]string{"client.mjs", s.url}, arguments...)...)
	command.Dir = node.Folder("interop/mcp")
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil {
		t.Fatalf("client.mjs: %v\n%s%s", err, complaints.String(), out.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("client.mjs: %v\n%s", err, out.String())
	}
	return r
}

// A taken is a token that the MCP server took.
type taken struct {
	Taken, Aud, Sub, Scope string
	ClientID               string `json:"client_id"`
}

func (s *stage) taken(t *testing.T) []taken {
	t.Helper()
	var all []taken
	for line := range strings.Lines(s.server.Output()) {
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var one taken
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("server.mjs: %v\n%s", err, line)
		}
		all = append(all, one)
	}
	return all
}

// The SDK's client finds the authorization server by the gateway's metadata,
// registers, signs in, and calls tools. One of them needs more scope.
func TestMCP(t *testing.T) {
	s := start(t, 600)
	got := s.client(t, "alice")
	want := []login{
		{Why: "connect", Scope: "orders:read", Resource: s.url, PKCE: "S256", At: s.provider.Issuer},
		{Why: "cancel_order", Scope: "orders:read orders:write", Resource: s.url, PKCE: "S256", At: s.provider.Issuer},
	}
	if diff := cmp.Diff(want, got.Logins); diff != "" {
		t.Error(diff)
	}
	if got.Registered["client_id"] == "" || got.Registered["token_endpoint_auth_method"] != "none" {
		t.Errorf("registered: %v", got.Registered)
	}
	s.expectTools(t, got, "alice")
	s.expectOwnTokens(t, got, "alice")
}

// A login of an earlier day, for something else: here it is the gateway that asks
// for more, and the SDK gets it.
func TestMCPEarlierLogin(t *testing.T) {
	s := start(t, 600)
	got := s.client(t, "bob", "orders:write")
	want := []login{
		{Why: "earlier", Scope: "orders:write", Resource: s.url, PKCE: "S256", At: s.provider.Issuer},
		{Why: "connect", Scope: "orders:read", Resource: s.url, PKCE: "S256", At: s.provider.Issuer},
		{Why: "cancel_order", Scope: "orders:read orders:write", Resource: s.url, PKCE: "S256", At: s.provider.Issuer},
	}
	if diff := cmp.Diff(want, got.Logins); diff != "" {
		t.Error(diff)
	}
	s.expectTools(t, got, "bob")
}

// A stream ends with the token that it was opened with. The SDK's client connects
// again, is told that it needs another, and goes on in the same session.
func TestMCPTokenExpires(t *testing.T) {
	s := start(t, 8, "audience https://api.example.com/mcp", "leeway 0s\n\t\t\taudience https://api.example.com/mcp")
	got := s.client(t, "alice", "--outlive")
	want := []login{
		{Why: "connect", Scope: "orders:read", Resource: s.url, PKCE: "S256", At: s.provider.Issuer},
		{Why: "expired", Scope: "orders:read", Resource: s.url, PKCE: "S256", At: s.provider.Issuer},
	}
	if diff := cmp.Diff(want, got.Logins); diff != "" {
		t.Error(diff)
	}
	if len(got.Heard) < 2 || got.Read != "order 1 for alice" || !got.SameSession {
		t.Errorf("%+v", got)
	}
	if !slices.ContainsFunc(got.Errors, func(text string) bool { return strings.HasPrefix(text, "SSE stream disconnected") }) {
		t.Errorf("the stream was not cut off: %q", got.Errors)
	}
}

// expectTools looks at what the tools said, and at the streams.
func (s *stage) expectTools(t *testing.T, got report, person string) {
	t.Helper()
	if got.Read != "order 1 for "+person || got.Cancel != "order 1 cancelled by "+person || got.Failed != "" {
		t.Errorf("read %q, cancel %q, failed %q", got.Read, got.Cancel, got.Failed)
	}
	if !slices.Contains(got.Tools, "cancel_order") {
		t.Errorf("tools: %v", got.Tools)
	}
	if got.Count != "counted to 4" || !slices.Equal(got.Progress, []int{1, 2, 3, 4}) {
		t.Errorf("count %q with progress %v", got.Count, got.Progress)
	}
	if len(got.Heard) == 0 || got.Heard[0] != "announced" {
		t.Errorf("heard %v", got.Heard)
	}
}

// expectOwnTokens holds the server's tokens against the client's: none is in both.
func (s *stage) expectOwnTokens(t *testing.T, got report, person string) {
	t.Helper()
	all := s.taken(t)
	if len(all) == 0 || len(got.Tokens) != 2 {
		t.Fatalf("the server took %d tokens, the client held %d", len(all), len(got.Tokens))
	}
	scopes := map[string]bool{}
	for _, one := range all {
		if one.Aud != orders || one.Sub != person || one.ClientID != "gateway" {
			t.Errorf("the server took %+v", one)
		}
		if slices.Contains(got.Tokens, one.Taken) {
			t.Errorf("the server got the client's own token: %+v", one)
		}
		scopes[one.Scope] = true
	}
	if diff := cmp.Diff(map[string]bool{"orders:read": true, "orders:read orders:write": true}, scopes); diff != "" {
		t.Error(diff)
	}
}
