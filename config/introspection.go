package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// DefaultIntrospectionTTL is how long an introspection answer is believed.
const DefaultIntrospectionTTL = 30 * time.Second

// maxIntrospectionTTL bounds how long a token may outlive its revocation: asking is
// there for tokens that can be called back.
const maxIntrospectionTTL = time.Hour

// Introspection asks the issuer about tokens that the gateway cannot read itself
// (RFC 7662): opaque ones, or all of them.
type Introspection struct {
	// The introspection endpoint. Default: the one that the issuer's metadata
	// names. It needs an issuer with a single URL.
	URL string `json:"url,omitempty"`

	// The name of the client as which the gateway asks. It must be a client of
	// this very issuer, or one that has a `token_endpoint`. Required.
	Client string `json:"client,omitempty"`

	// Also ask about tokens that are JWTs, after they have passed every check of a
	// JWT: a token that the issuer has revoked is then refused at once. Default:
	// false.
	Always bool `json:"always,omitempty"`

	// How long an answer is believed, at most 1h and never past the token's expiry.
	// `0s` asks for every request. Default: 30s.
	CacheTTL Duration `json:"cache_ttl,omitempty"`

	// What opaque tokens of this issuer begin with. A token that begins otherwise
	// is not shown to it. What has the form of an encrypted JWT (five parts) is
	// taken for an opaque token only if it begins with one of these. Required as
	// soon as one `token_auth` names two issuers with introspection. Default:
	// every opaque token is this issuer's.
	Prefix []string `json:"prefix,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// The grammar of introspection, within an issuer:
//
//	introspection [<url>] {
//		client    <client>
//		always
//		cache_ttl <duration>
//		prefix    <text...>
//	}
func (i *Introspection) options() []option {
	return []option{
		{word: "client", read: readOne(&i.Client)},
		{word: "always", read: readFlag(&i.Always)},
		{word: "cache_ttl", read: readOne(&i.CacheTTL)},
		{word: "prefix", read: readList(&i.Prefix)},
	}
}

// readIntrospection reads the block within an issuer.
func (i *Issuer) readIntrospection(d *caddyfile.Dispenser) error {
	block := &Introspection{Place: place(d)}
	if d.CountRemainingArgs() > 0 {
		if err := readOne(&block.URL)(d); err != nil {
			return err
		}
	}
	if err := readBlock(d, "introspection", block); err != nil {
		return err
	}
	i.Introspection = block
	return nil
}

func (i *Introspection) settings() []setting {
	if i == nil {
		return nil
	}
	return slices.Concat(
		one("url", &i.URL, checkURL),
		one("client", &i.Client, checkName),
		one("cache_ttl", (*string)(&i.CacheTTL), checkIntrospectionTTL),
		list("prefix", i.Prefix, checkPrefix),
	)
}

// opaqueWords finds contradictions among the words for tokens that the gateway
// cannot simply read.
func (i *Issuer) opaqueWords() error {
	switch {
	case i.Introspection != nil && i.Outbound:
		return errors.New("outbound and introspection exclude each other: no token of an outbound issuer is accepted")
	case len(i.Decrypt) > 0 && i.Outbound:
		return errors.New("outbound and decrypt exclude each other: no token of an outbound issuer is accepted")
	case i.Introspection != nil && len(i.URLs) > 1:
		return errors.New("introspection needs an issuer with one URL: give each URL a block with its own client")
	}
	if err := i.Introspection.contradiction(); err != nil {
		return fmt.Errorf("introspection: %w", err)
	}
	return nil
}

func (i *Introspection) contradiction() error {
	if i == nil {
		return nil
	}
	for n, prefix := range i.Prefix {
		if slices.Contains(i.Prefix[:n], prefix) {
			return fmt.Errorf("prefix: %q is written twice", prefix)
		}
	}
	return nil
}

func (i *Introspection) missing() error {
	if i != nil && i.Client == "" {
		return errors.New("client is missing: write client <client>, as which the gateway asks")
	}
	return nil
}

// links checks the client. One of another server would show its secret to this
// one, and this one could use it there.
func (i *Introspection) links(g *Gatehouse, issuer *Issuer) error {
	if i == nil {
		return nil
	}
	client, ok := g.Clients[i.Client]
	if !ok {
		return fmt.Errorf("introspection: client: %w", unknown("client", i.Client, sorted(g.Clients)))
	}
	if client.Issuer == "" {
		if i.URL == "" {
			return fmt.Errorf("introspection: %s has a token_endpoint and no issuer, so nothing says where to ask: write introspection <url>",
				client.Label(i.Client))
		}
		return nil
	}
	if _, its, ok := g.Issuer(client.Issuer); !ok || its != issuer {
		return fmt.Errorf("introspection: %s belongs to another server: name a client of this issuer", client.Label(i.Client))
	}
	return nil
}

func checkIntrospectionTTL(text string) error {
	if err := checkNotNegative(text); err != nil {
		return err
	}
	if Duration(text).Or(0) > maxIntrospectionTTL {
		return fmt.Errorf("%s is more than 1h: so long a token would outlive its revocation", text)
	}
	return nil
}

// checkPrefix accepts what a token may begin with (VSCHAR of RFC 6749, appendix
// A.12, but the blank, and the comma, with which no credential of a header goes on).
func checkPrefix(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	if strings.ContainsAny(text, " \t,") {
		return fmt.Errorf("%q holds a blank or a comma, which no token does", text)
	}
	return nil
}

// routeOpaque refuses issuers among which an opaque token has no single owner:
// shown to the wrong one on a guess, it could be used elsewhere by that server.
func routeOpaque(named map[string]*Issuer) error {
	asked := make([]string, 0, len(named))
	for _, name := range sorted(named) {
		if named[name].Introspection != nil {
			asked = append(asked, name)
		}
	}
	if len(asked) < 2 {
		return nil
	}
	owner := make(map[string]string)
	for _, name := range asked {
		prefixes := named[name].Introspection.Prefix
		if len(prefixes) == 0 {
			return fmt.Errorf("issuers %s have introspection, so each needs a prefix that tells its opaque tokens: %s has none",
				strings.Join(asked, " and "), named[name].Label(name))
		}
		for _, prefix := range prefixes {
			for _, other := range slices.Sorted(maps.Keys(owner)) {
				whose := owner[other]
				if whose != name && (strings.HasPrefix(prefix, other) || strings.HasPrefix(other, prefix)) {
					return fmt.Errorf("the prefixes %q of %s and %q of %s leave open whose token it is: let none begin like the other",
						other, whose, prefix, name)
				}
			}
			owner[prefix] = name
		}
	}
	return nil
}
