package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TokenResource says what one API is called, who issues tokens for it, and which
// scopes it knows (OAuth 2.0 Protected Resource Metadata, RFC 9728).
type TokenResource struct {
	// The identifier of the API: a URL without query and fragment, https, or http
	// for a loopback host. Its path says where the metadata is found:
	// `/.well-known/oauth-protected-resource` with that path behind it. Required.
	Resource string `json:"resource,omitempty"`

	// The issuers of tokens for the API, by URL. Default: the issuers of the app
	// that are not `outbound`; without one the list is required.
	AuthorizationServers []string `json:"authorization_servers,omitempty"`

	// The scopes that clients may ask for. Default: none are named.
	Scopes []string `json:"scopes,omitempty"`

	// What the API is called in front of people. Default: nothing.
	Name string `json:"name,omitempty"`

	// The URL of a page for developers. Default: none.
	Documentation string `json:"documentation,omitempty"`

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	token_resource [<matcher>] <url> {
//		authorization_servers <url...>
//		scopes                <scope...>
//		name                  <text>
//		documentation         <url>
//	}
func (t *TokenResource) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	if d.NextArg() {
		if t.Resource = d.Val(); t.Resource == "" {
			return locate(d, "", errEmpty)
		}
	}
	return readBlock(d, "", t)
}

func (t *TokenResource) options() []option {
	return []option{
		{word: "authorization_servers", read: readList(&t.AuthorizationServers)},
		{word: "scopes", read: readList(&t.Scopes)},
		{word: "name", read: readOne(&t.Name)},
		{word: "documentation", read: readOne(&t.Documentation)},
	}
}

func (t *TokenResource) settings() []setting {
	return slices.Concat(
		one("resource", &t.Resource, checkResourceURL),
		list("authorization_servers", t.AuthorizationServers, checkIssuerURL),
		list("scopes", t.Scopes, checkScope),
		one("name", &t.Name, checkText),
		one("documentation", &t.Documentation, checkURL),
	)
}

func (t *TokenResource) contradiction() error {
	if err := checkOnce("authorization_servers", t.AuthorizationServers); err != nil {
		return err
	}
	return checkOnce("scopes", t.Scopes)
}

// checkOnce refuses a value that stands in a list twice.
func checkOnce(word string, values []string) error {
	for n, value := range values {
		if slices.Contains(values[:n], value) {
			return fmt.Errorf("%s: %s is written twice", word, value)
		}
	}
	return nil
}

func (t *TokenResource) missing() error {
	if t.Resource == "" {
		return errors.New("the API's URL is missing: write token_resource <url>")
	}
	return nil
}

// Label names the directive and its place, for messages.
func (t *TokenResource) Label() string { return at("token_resource", t.Place) }

// Expand replaces the placeholders in place, once, at load.
func (t *TokenResource) Expand(repl *caddy.Replacer) error {
	return expandBlock(repl, t.Label(), t)
}

// Check looks at the directive, and that there is an authorization server to
// name. It is called after Expand, with the app's checked configuration.
func (t *TokenResource) Check(g *Gatehouse) error {
	if err := checkBlock(t.Label(), t); err != nil {
		return err
	}
	if len(t.Servers(g)) == 0 {
		return fmt.Errorf("%s: no authorization server: write authorization_servers <url...>, or an issuer block in the global option gatehouse", t.Label())
	}
	return nil
}

// Servers are the authorization servers that the metadata names: those of the
// directive, else the issuers of the app.
func (t *TokenResource) Servers(g *Gatehouse) []string {
	if len(t.AuthorizationServers) > 0 {
		return t.AuthorizationServers
	}
	var urls []string
	for _, name := range g.trusted() {
		urls = append(urls, g.Issuers[name].URLs...)
	}
	return urls
}

// MetadataPath is the path of the metadata, decoded. Check has refused a URL
// that has none.
func (t *TokenResource) MetadataPath() string { return wellKnownPath(t.Resource) }

// wellKnownPath is the path under which the metadata of a resource is found: the
// well-known part goes between host and path, and a slash right behind the host
// is dropped (RFC 9728, section 3.1).
func wellKnownPath(resource string) string {
	u, err := url.Parse(resource)
	if err != nil || u.Path == "/" {
		return resourceWellKnown
	}
	return resourceWellKnown + u.Path
}
