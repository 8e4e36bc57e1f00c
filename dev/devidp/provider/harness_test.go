package provider

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	testFaultsToken = "test-faults-token"
	tokenTypeAccess = "urn:ietf:params:oauth:token-type:access_token"
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// rig is a provider behind a real HTTP server on loopback, and a client to it
// that follows no redirects.
type rig struct {
	t      *testing.T
	issuer string
	http   *http.Client
}

// start serves a provider whose issuer is its own URL plus path. change may
// alter the settings before they are used.
func start(t *testing.T, path string, change func(*Settings)) *rig {
	t.Helper()
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	settings := testSettings(server.URL + path)
	if change != nil {
		change(&settings)
	}
	p, err := New(settings, NewState(settings.Algorithm))
	if err != nil {
		t.Fatal(err)
	}
	handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.Handle(w, r) {
			return
		}
		http.Error(w, "not the provider's", http.StatusTeapot)
	})
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &rig{t: t, issuer: settings.Issuer, http: client}
}

func testSettings(issuer string) Settings {
	return Settings{
		Issuer: issuer, FaultsToken: testFaultsToken,
		Users: []User{{
			Name: "alice", Password: "alice-password", Email: "alice@example.com", FullName: "Alice Doe",
			Claims: map[string]any{"tenant": "acme"},
		}},
		Clients: []Client{
			{
				ID: "gateway", Secret: "gateway secret&+", Grants: []string{GrantClientCredentials, GrantTokenExchange},
				Scopes: []string{"orders:read", "orders:write"}, Audience: []string{"https://api.example.com"},
				Targets: []string{"orders", "https://billing.example.com"}, ExchangeFrom: []string{"https://api.example.com"},
			},
			{ID: "stranger", Secret: "stranger-secret", Grants: []string{GrantTokenExchange}, Targets: []string{"orders"}},
			{
				ID: "web", Grants: []string{GrantAuthorizationCode}, Redirects: []string{"http://127.0.0.1:8080/callback"},
				Scopes: []string{"orders:read"}, Audience: []string{"https://api.example.com"},
			},
			{ID: "rival", Grants: []string{GrantAuthorizationCode}, Redirects: []string{"http://127.0.0.1:8080/callback"}},
		},
	}
}

// reply is an answer that has been read.
type reply struct {
	status int
	header http.Header
	body   string
}

// json decodes the body as an object.
func (r reply) json(t *testing.T) map[string]any {
	t.Helper()
	members := make(map[string]any)
	if err := json.Unmarshal([]byte(r.body), &members); err != nil {
		t.Fatalf("status %d, body is not a JSON object: %.200s", r.status, r.body)
	}
	return members
}

func (g *rig) do(request *http.Request) (reply, error) {
	g.t.Helper()
	response, err := g.http.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body)}, err
}

func (g *rig) request(method, path string, form url.Values) *http.Request {
	g.t.Helper()
	request, err := http.NewRequestWithContext(g.t.Context(), method, g.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return request
}

func (g *rig) must(request *http.Request) reply {
	g.t.Helper()
	answer, err := g.do(request)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer
}

func (g *rig) get(path string) reply { return g.must(g.request(http.MethodGet, path, nil)) }

// as authenticates a request as a client with client_secret_basic, encoded as
// RFC 6749, section 2.3.1, asks.
func as(request *http.Request, id, secret string) *http.Request {
	request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return request
}

func (g *rig) asGateway(path string, form url.Values) reply {
	g.t.Helper()
	return g.must(as(g.request(http.MethodPost, path, form), "gateway", "gateway secret&+"))
}

// dev calls an endpoint under /dev with the faults token.
func (g *rig) dev(method, path string, form url.Values) reply {
	g.t.Helper()
	request := g.request(method, path, form)
	request.Header.Set("Authorization", "Bearer "+testFaultsToken)
	return g.must(request)
}

// fault sets one and fails the test if it was refused.
func (g *rig) fault(fields url.Values) {
	g.t.Helper()
	if answer := g.dev(http.MethodPost, pathDevFaults, fields); answer.status != http.StatusOK {
		g.t.Fatalf("fault refused: %d %s", answer.status, answer.body)
	}
}

// mint asks /dev/token for a token.
func (g *rig) mint(fields url.Values) string {
	g.t.Helper()
	answer := g.dev(http.MethodPost, pathDevToken, fields)
	if answer.status != http.StatusOK {
		g.t.Fatalf("minting refused: %d %s", answer.status, answer.body)
	}
	return text(answer.json(g.t), "access_token")
}

func text(members map[string]any, name string) string {
	value, _ := members[name].(string)
	return value
}

// decoded is a token as somebody else sees it.
type decoded struct {
	header   jose.Header
	claims   map[string]any
	verified bool
}

// decode reads a token and checks it against the published key set, using
// nothing of the provider but its HTTP answers.
func (g *rig) decode(raw string) decoded {
	g.t.Helper()
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.EdDSA})
	if err != nil {
		g.t.Fatalf("parsing %q: %v", raw, err)
	}
	result := decoded{header: token.Headers[0], claims: make(map[string]any)}
	if err := token.UnsafeClaimsWithoutVerification(&result.claims); err != nil {
		g.t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(g.get(pathJWKS).body), &set); err != nil {
		g.t.Fatal(err)
	}
	for _, key := range set.Key(result.header.KeyID) {
		if token.Claims(key.Key, &map[string]any{}) == nil {
			result.verified = true
		}
	}
	return result
}
