package provider

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Paths of the endpoints, below the issuer's own path.
const (
	pathDiscovery  = "/.well-known/openid-configuration"
	pathMetadata   = "/.well-known/oauth-authorization-server"
	pathJWKS       = "/jwks"
	pathAuthorize  = "/authorize"
	pathLogin      = "/login"
	pathToken      = "/token"
	pathIntrospect = "/introspect"
	pathRevoke     = "/revoke"
	pathUserinfo   = "/userinfo"
	pathDevFaults  = "/dev/faults"
	pathDevToken   = "/dev/token"
	pathDevStats   = "/dev/stats"
)

// Names of the endpoints, as faults and counters call them.
const (
	endpointDiscovery  = "discovery"
	endpointJWKS       = "jwks"
	endpointAuthorize  = "authorize"
	endpointToken      = "token"
	endpointIntrospect = "introspect"
	endpointRevoke     = "revoke"
	endpointUserinfo   = "userinfo"
)

// protocolEndpoints are the endpoints that op routes and that can be made to fail.
var protocolEndpoints = map[string]string{
	pathDiscovery: endpointDiscovery, pathMetadata: endpointDiscovery, pathJWKS: endpointJWKS,
	pathAuthorize: endpointAuthorize, pathToken: endpointToken, pathIntrospect: endpointIntrospect,
	pathRevoke: endpointRevoke, pathUserinfo: endpointUserinfo,
}

// maxBody bounds every request's body.
const maxBody = 1 << 20

// Provider answers the requests of one issuer. It is safe for concurrent use.
type Provider struct {
	settings Settings
	state    *State
	clients  map[string]*registered
	users    map[string]User
	base     string

	protocol func() http.Handler
}

// New returns a provider with these settings over state. It makes no key and
// reads nothing; the error wraps ErrSettings.
func New(settings Settings, state *State) (*Provider, error) {
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	settings = settings.withDefaults()
	issuer, err := url.Parse(settings.Issuer)
	if err != nil {
		return nil, err
	}
	p := &Provider{
		settings: settings, state: state, base: issuer.Path,
		clients: make(map[string]*registered), users: make(map[string]User),
	}
	for _, c := range settings.Clients {
		p.clients[c.ID] = &registered{Client: c, issuer: settings.Issuer, lifetime: settings.TokenLifetime}
	}
	for _, u := range settings.Users {
		p.users[u.Name] = u
	}
	p.protocol = sync.OnceValue(p.newProtocol)
	return p, nil
}

// newProtocol builds op's router. It is built at the first request, because it
// logs each route, which would be noise under caddy validate.
func (p *Provider) newProtocol() http.Handler {
	return op.RegisterServer(&server{p: p}, op.Endpoints{
		Authorization: op.NewEndpoint(pathAuthorize),
		Token:         op.NewEndpoint(pathToken),
		Introspection: op.NewEndpoint(pathIntrospect),
		Userinfo:      op.NewEndpoint(pathUserinfo),
		Revocation:    op.NewEndpoint(pathRevoke),
		JwksURI:       op.NewEndpoint(pathJWKS),
		// No CORS: no other origin in the developer's browser has business here.
	}, op.WithServerCORSOptions(nil))
}

// Announce calls say with the random faults token, once in the life of the
// state; never when the settings name a token, for then the reader knows it.
func (p *Provider) Announce(say func(token string)) {
	if p.settings.FaultsToken != "" {
		return
	}
	p.state.announced.Do(func() { say(p.state.secret()) })
}

// Handle answers r if it is for one of the provider's paths, and otherwise
// leaves it alone and returns false.
func (p *Provider) Handle(w http.ResponseWriter, r *http.Request) bool {
	path, ok := p.relative(r.URL.Path)
	if !ok {
		return false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	switch path {
	case pathLogin:
		p.serveLogin(w, r)
	case pathDevFaults:
		p.guarded(w, r, p.serveFaults)
	case pathDevToken:
		p.guarded(w, r, p.serveDevToken)
	case pathDevStats:
		p.guarded(w, r, p.serveStats)
	default:
		endpoint, known := protocolEndpoints[path]
		if !known {
			return false
		}
		p.serveProtocol(w, r, path, endpoint)
	}
	return true
}

// relative strips the issuer's path. RFC 8414, section 3.1, puts the well-known
// part before it, OpenID Connect Discovery behind; both are served.
func (p *Provider) relative(path string) (string, bool) {
	if path == pathMetadata+p.base {
		return pathMetadata, true
	}
	rest, ok := strings.CutPrefix(path, p.base)
	return rest, ok && strings.HasPrefix(rest, "/")
}

// guarded lets only holders of the faults token through.
func (p *Provider) guarded(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	want := p.settings.FaultsToken
	if want == "" {
		want = p.state.secret()
	}
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || !sameText(got, want) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="dev_idp faults"`)
		http.Error(w, "the faults token is required: Authorization: Bearer <faults token>", http.StatusUnauthorized)
		return
	}
	next(w, r)
}

// sameText compares secrets in a time that tells nothing, not even the length.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
