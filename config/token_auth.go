package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// StreamsKeep is the word that lets streams outlive the token.
const StreamsKeep = "keep"

// TokenAuth says whose tokens a route accepts.
type TokenAuth struct {
	// The issuers whose tokens are accepted, each by the name of its block or by
	// its URL. A URL without a block is trusted as it stands, with the defaults of
	// an issuer. Default: the only issuer of the app that is not `outbound`; with
	// several of them the list is required.
	Issuers []string `json:"issuers,omitempty"`

	// The accepted values of the `aud` claim, of which a token must have one,
	// instead of those of the issuers. The single word `any` accepts tokens for
	// every audience, and those without `aud`. Default: the audience of the issuer's
	// block.
	Audience []string `json:"audience,omitempty"`

	// The word `keep` lets a WebSocket, an event stream or any other request that
	// lasts go on after the token has expired. Default: it ends at the token's
	// expiry and the issuer's leeway.
	Streams string `json:"streams,omitempty"`

	// Where the credential is looked for, and nowhere else. Two places that hold
	// one, and an Authorization header that is not among them, are refused.
	// Default: the Authorization header with the schemes Bearer and DPoP.
	From []From `json:"from,omitempty"`

	// Let requests without any token pass, as nobody's. A token that is not good
	// is refused all the same, and so is one where `token_require` or
	// `token_exchange` need a caller. Default: false.
	Optional bool `json:"optional,omitempty"`

	// What `{http.auth.user.id}` is. Default: the subject while the configuration
	// trusts one issuer URL, and the issuer with the subject otherwise.
	UserID *UserID `json:"user_id,omitempty"`

	// The realm of every challenge, in printable ASCII without quote and
	// backslash. Default: gatehouse.
	Realm string `json:"realm,omitempty"`

	// The URL that identifies this API. Every challenge then names where its
	// metadata is, as `resource_metadata` (RFC 9728, section 5.1). Default: none.
	Resource string `json:"resource,omitempty"`

	// Leave the caller's token on the request for the handlers behind. It is
	// removed all the same where `token_exchange` runs, and from what error routes
	// see. With it an upstream can use the token wherever the caller could.
	// Default: false.
	ForwardToken bool `json:"forward_token,omitempty"`

	Sender //nolint:embeddedstructfieldcheck // the JSON keeps the order of the words

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	token_auth [<matcher>] [<issuer>...] {
//		audience <aud...> | any
//		streams  keep
//		from     header <name> [<scheme>] | cookie <name> | query <name>
//		optional
//		user_id  subject | issuer_subject | claim <path>
//		realm    <text>
//		resource <url>
//		forward_token
//		sender_constrained [dpop] [mtls]
//		public_url         <url...>
//		client_certificate <header>
//		dpop_nonce
//	}
func (t *TokenAuth) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	t.Issuers = d.RemainingArgs()
	return readBlock(d, "", t)
}

func (t *TokenAuth) options() []option {
	return append(t.Sender.options(), []option{
		{word: "audience", read: readList(&t.Audience)},
		{word: "streams", read: readOne(&t.Streams)},
		{word: "from", read: readFrom(&t.From), repeat: true},
		{word: "optional", read: readFlag(&t.Optional)},
		{word: "user_id", read: readUserID(&t.UserID)},
		{word: "realm", read: readOne(&t.Realm)},
		{word: "resource", read: readOne(&t.Resource)},
		{word: "forward_token", read: readFlag(&t.ForwardToken)},
	}...)
}

func (t *TokenAuth) settings() []setting {
	return slices.Concat(
		list("issuer", t.Issuers, checkRef),
		accepted(t.Audience),
		one("streams", &t.Streams, checkOneOf("word", StreamsKeep)),
		fromSettings(t.From),
		t.UserID.settings(),
		one("realm", &t.Realm, checkQuotable),
		one("resource", &t.Resource, checkResourceURL),
		t.Sender.settings(),
	)
}

// DefaultRealm is the realm of challenges where none is written.
const DefaultRealm = "gatehouse"

func (t *TokenAuth) contradiction() error {
	for n, ref := range t.Issuers {
		if slices.Contains(t.Issuers[:n], ref) {
			return fmt.Errorf("the issuer %s is named twice", ref)
		}
	}
	if err := checkAny(t.Audience); err != nil {
		return err
	}
	if err := t.UserID.check(); err != nil {
		return err
	}
	if err := t.Sender.contradiction(); err != nil {
		return err
	}
	if err := checkFrom(t.From); err != nil {
		return err
	}
	return t.checkSender()
}

func (t *TokenAuth) missing() error { return nil }

// Label names the directive and its place, for messages.
func (t *TokenAuth) Label() string { return at("token_auth", t.Place) }

// Expand replaces the placeholders in place, once, at load.
func (t *TokenAuth) Expand(repl *caddy.Replacer) error {
	return expandBlock(repl, t.Label(), t)
}

// Check looks at the directive and at the issuers it names. It is called after
// Expand, with the app's checked configuration.
func (t *TokenAuth) Check(g *Gatehouse) error {
	label := t.Label()
	if err := checkBlock(label, t); err != nil {
		return err
	}
	if err := t.links(g); err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	return nil
}

func (t *TokenAuth) links(g *Gatehouse) error {
	if names := g.trusted(); len(t.Issuers) == 0 {
		switch len(names) {
		case 0:
			return errors.New("no issuer: write token_auth <url>, or an issuer block in the global option gatehouse")
		case 1:
			return nil
		default:
			return fmt.Errorf("several issuers are declared, so name those whose tokens are accepted here: token_auth %s",
				strings.Join(names, " "))
		}
	}
	seen, blocks := make(map[string]string), make(map[string]*Issuer)
	for _, ref := range t.Issuers {
		if err := g.known(ref); err != nil {
			return err
		}
		name, issuer, ok := g.Issuer(ref)
		if ok && issuer.Outbound {
			return fmt.Errorf("%s is outbound: it is only called, and its tokens are never accepted", issuer.Label(name))
		}
		if other, twice := seen[name]; ok && twice {
			return fmt.Errorf("%s and %s are the same issuer %s: name it once", other, ref, name)
		}
		seen[name] = ref
		if ok {
			blocks[name] = issuer
		}
	}
	return routeOpaque(blocks)
}
