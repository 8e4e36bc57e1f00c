package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/sts"
)

// DefaultServicePrefix is the path that the endpoints lie under.
const DefaultServicePrefix = "/oauth2"

// The endpoints of a token service.
const (
	EndpointJWKS       = "jwks"
	EndpointMetadata   = "metadata"
	EndpointToken      = "token"
	EndpointIntrospect = "introspect"
	EndpointRevoke     = "revoke"
	EndpointReady      = "ready"
)

var (
	serviceEndpoints = []string{EndpointJWKS, EndpointMetadata, EndpointToken, EndpointIntrospect, EndpointRevoke, EndpointReady}
	defaultEndpoints = []string{EndpointJWKS, EndpointMetadata}
	// askedEndpoints are those that clients prove themselves to.
	askedEndpoints = []string{EndpointToken, EndpointIntrospect, EndpointRevoke}
)

const wordEndpoints = "endpoints"

// TokenService says which OAuth endpoints the gateway itself has, and which
// services may ask for tokens there.
type TokenService struct {
	// The path that the endpoints lie under, `<prefix>/token` and so on. The metadata
	// lies at `/.well-known/oauth-authorization-server`, with the path of the issuer in
	// `sign` behind it. Default: `/oauth2`.
	Prefix string `json:"prefix,omitempty"`

	// The endpoints that are offered: `jwks`, the public keys; `metadata`, by which
	// clients find the others (RFC 8414); `token`, `introspect` (RFC 7662) and `revoke`
	// (RFC 7009), which need clients; `ready`, which answers 200 while the node should
	// get requests and 503 otherwise. Default: `jwks metadata`.
	Endpoints []string `json:"endpoints,omitempty"`

	// Ask for a nonce of the gateway's in every DPoP proof (RFC 9449, section 8).
	// Default: proofs need none.
	DPoPNonce bool `json:"dpop_nonce,omitempty"`

	// The services that may ask, by client_id. What is not named for one is denied.
	// Default: none.
	Clients map[string]*ServiceClient `json:"clients,omitempty"`

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	token_service [<matcher>] {
//		prefix    <path>
//		endpoints jwks metadata token introspect revoke ready
//		dpop_nonce
//		client <id> {
//			...
//		}
//	}
func (t *TokenService) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	return readBlock(d, "", t)
}

func (t *TokenService) options() []option {
	return []option{
		{word: "prefix", read: readOne(&t.Prefix)},
		{word: wordEndpoints, read: readList(&t.Endpoints)},
		{word: "dpop_nonce", read: readFlag(&t.DPoPNonce)},
		{word: RuleClient, read: t.readClient, repeat: true},
	}
}

func (t *TokenService) settings() []setting {
	return slices.Concat(
		one("prefix", &t.Prefix, checkServicePrefix),
		list(wordEndpoints, t.Endpoints, checkOneOf("endpoint", serviceEndpoints...)),
	)
}

func (t *TokenService) contradiction() error { return checkOnce(wordEndpoints, t.Endpoints) }

func (t *TokenService) missing() error {
	asked := slices.DeleteFunc(slices.Clone(t.Offered()), func(name string) bool { return !slices.Contains(askedEndpoints, name) })
	switch {
	case len(asked) > 0 && len(t.Clients) == 0:
		return fmt.Errorf("endpoints: %s answers clients only, and none is named: write client <id> in a block", asked[0])
	case len(asked) == 0 && len(t.Clients) > 0:
		return errors.New("clients are named, and no endpoint that they could ask: write endpoints jwks metadata token")
	case len(asked) == 0 && t.DPoPNonce:
		return errors.New("dpop_nonce is for the endpoint token: write endpoints jwks metadata token")
	}
	return t.unread()
}

// unread finds references that nobody could turn back into tokens.
func (t *TokenService) unread() error {
	for _, id := range sorted(t.Clients) {
		if t.Clients[id] != nil && t.Clients[id].Opaque && !t.Offers(EndpointIntrospect) {
			return fmt.Errorf("%s: opaque gives it references that only introspect turns back: add introspect to endpoints, or leave opaque out",
				at("client "+id, t.Clients[id].Place))
		}
	}
	return nil
}

func (t *TokenService) readClient(d *caddyfile.Dispenser) error {
	client := &ServiceClient{Place: place(d)}
	if !d.NextArg() {
		return errors.New("an identifier is missing: write client <id>")
	}
	id := d.Val()
	if err := checkServiceClientID(id); err != nil {
		return err
	}
	if earlier := t.Clients[id]; earlier != nil {
		return fmt.Errorf("%s is declared already at %s", id, earlier.Place)
	}
	if err := readBlock(d, "client "+id, client); err != nil {
		return err
	}
	t.Clients = with(t.Clients, id, client)
	return nil
}

// Label names the directive and its place, for messages.
func (t *TokenService) Label() string { return at("token_service", t.Place) }

// ClientLabel names a client and its place, for messages.
func (t *TokenService) ClientLabel(id string) string {
	return t.Label() + ": " + at("client "+id, t.Clients[id].Place)
}

// Offered are the endpoints that are offered.
func (t *TokenService) Offered() []string {
	if len(t.Endpoints) == 0 {
		return defaultEndpoints
	}
	return t.Endpoints
}

// Offers tells whether an endpoint is offered.
func (t *TokenService) Offers(endpoint string) bool { return slices.Contains(t.Offered(), endpoint) }

// PathPrefix is the path that the endpoints lie under.
func (t *TokenService) PathPrefix() string {
	if t.Prefix == "" {
		return DefaultServicePrefix
	}
	return t.Prefix
}

// Expand replaces the placeholders in place, once, at load.
func (t *TokenService) Expand(repl *caddy.Replacer) error {
	if err := expandBlock(repl, t.Label(), t); err != nil {
		return err
	}
	for _, id := range sorted(t.Clients) {
		if t.Clients[id] == nil {
			return fmt.Errorf("%s: client %s: null: write an object, or leave the name out", t.Label(), id)
		}
		if err := expandBlock(repl, t.ClientLabel(id), t.Clients[id]); err != nil {
			return err
		}
	}
	return nil
}

// Check looks at the directive, its clients and the issuers that they name. It is
// called after Expand, with the app's checked configuration.
func (t *TokenService) Check(g *Gatehouse) error {
	if err := checkBlock(t.Label(), t); err != nil {
		return err
	}
	if g.Sign == nil {
		return fmt.Errorf("%s: there are no keys to sign with: write sign { issuer <url> } in the global option gatehouse", t.Label())
	}
	for _, id := range sorted(t.Clients) {
		err := checkServiceClientID(id)
		if id == g.Sign.Issuer {
			err = errors.New("a client is called like the gateway's own issuer: give it another name")
		}
		if err != nil {
			return fmt.Errorf("%s: client %s: %w", t.Label(), id, err)
		}
		if err := checkBlock(t.ClientLabel(id), t.Clients[id]); err != nil {
			return err
		}
		if err := t.Clients[id].links(g); err != nil {
			return fmt.Errorf("%s: %w", t.ClientLabel(id), err)
		}
	}
	return nil
}

// checkServicePrefix accepts a path that requests are compared with as they come.
func checkServicePrefix(text string) error {
	if !strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") || strings.Contains(text, "//") ||
		slices.Contains(strings.Split(text, "/"), "..") || slices.Contains(strings.Split(text, "/"), ".") {
		return fmt.Errorf("%q is not a path such as /oauth2, which begins with a slash and ends without", text)
	}
	for _, r := range text {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`?#%*{}"\`, r) {
			return fmt.Errorf("%q is not a plain path: it holds %q", text, string(r))
		}
	}
	return nil
}

// checkServiceClientID accepts a client_id: visible ASCII (RFC 6749, appendix A.1).
// Identifiers are not expanded, so braces would only look as if.
func checkServiceClientID(id string) error {
	if id == "" {
		return errEmpty
	}
	for _, r := range id {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`{}"\`, r) {
			return fmt.Errorf("%q is not a client_id: it is visible ASCII without blanks, braces, quotes and backslashes", id)
		}
	}
	return nil
}

// Addresses are the URLs of the endpoints that are offered: at the origin of the
// issuer, which is how clients see the gateway.
func (t *TokenService) Addresses(issuer string) sts.Endpoints {
	at := func(endpoint string) string {
		if !t.Offers(endpoint) {
			return ""
		}
		return t.Address(issuer, endpoint)
	}
	return sts.Endpoints{
		KeySet: at(EndpointJWKS), Token: at(EndpointToken), Introspection: at(EndpointIntrospect), Revocation: at(EndpointRevoke),
	}
}

// Address is the URL of an endpoint, offered or not.
func (t *TokenService) Address(issuer, endpoint string) string {
	u, err := url.Parse(issuer)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + t.PathPrefix() + "/" + endpoint
}
