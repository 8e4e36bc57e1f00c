package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// Defaults of an issuer.
const (
	// DefaultLeeway is the tolerance between the issuer's clock and ours.
	DefaultLeeway = 30 * time.Second
	// DefaultFetchTimeout bounds one call for metadata or keys.
	DefaultFetchTimeout = 5 * time.Second
	// MaxLeeway is the most of the first that a configuration may have.
	MaxLeeway = 2 * time.Minute
)

// Issuer is an authorization server whose tokens are trusted, or several that
// share their options, such as the tenants of one provider.
type Issuer struct {
	// The issuer's URLs, exactly as the `iss` claim of their tokens has them:
	// https, or http for a loopback host, without query and fragment. Their keys
	// are found by discovery (RFC 8414, OpenID Connect Discovery) unless `jwks`
	// is set. At least one is required.
	URLs []string `json:"urls,omitempty"`

	// The accepted values of the `aud` claim, of which a token must have one. The
	// single word `any` accepts tokens for every audience, and those without `aud`.
	// Required here or at `token_auth`, whose own list comes first.
	Audience []string `json:"audience,omitempty"`

	// Where the verification keys are: an https URL of a JWK Set, or a file with a
	// JWK Set or with PEM blocks, which is read when the configuration is loaded. It
	// needs an issuer with a single URL. For the issuer in `sign`, whose keys the gateway
	// has, it is an error unless it lies at that very host. Default: discovery.
	JWKS string `json:"jwks,omitempty"`

	// The signature algorithms that tokens may use, by their registered names.
	// HS256, HS384 and HS512 sign with a shared secret: they stand alone, and
	// `jwks` must be a file with `oct` keys. Default: all asymmetric ones, RS256 to
	// RS512, PS256 to PS512, ES256 to ES512, EdDSA and Ed25519.
	Algorithms []string `json:"algorithms,omitempty"`

	// The accepted values of the `typ` header, without regard to case and a prefix
	// `application/`; the word `absent` stands for none. The single value `at+jwt`
	// is strict RFC 9068: `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti`
	// are required. ID tokens are refused in any case. Default: `at+jwt`, `JWT` and
	// `absent`.
	TokenType []string `json:"token_type,omitempty"`

	// How long after `iat` a token may be used, whatever its `exp` says; `leeway` is
	// added. Tokens without `iat` are then refused. Default: as long as `exp` says.
	MaxTokenAge Duration `json:"max_token_age,omitempty"`

	// Paths to claims that must be there, and neither null nor an empty text, list
	// or object. Default: none.
	RequireClaims []string `json:"require_claims,omitempty"`

	// Where this issuer puts subject, scopes, client and roles. Default: `sub`;
	// `scope` or `scp`; `client_id` or `azp`; no roles.
	Claims *IssuerClaims `json:"claims,omitempty"`

	// How far the issuer's clock and ours may be apart, at most 2m. Default: 30s.
	Leeway Duration `json:"leeway,omitempty"`

	// How the issuer is asked about tokens that the gateway cannot read itself.
	// Default: opaque tokens are refused.
	Introspection *Introspection `json:"introspection,omitempty"`

	// The keys that open the issuer's encrypted tokens: while one rotates, the old
	// one and the new one. Default: encrypted tokens are refused.
	Decrypt []Decrypt `json:"decrypt,omitempty"`

	// PEM files with the certificate authorities that the issuer's own TLS
	// certificate may come from; then only these. Default: those of the system.
	TrustCA []string `json:"trust_ca,omitempty"`

	// How long one call for metadata or keys may take. Default: 5s.
	FetchTimeout Duration `json:"fetch_timeout,omitempty"`

	// The same issuer in other regions: their URLs, asked in order while the first
	// does not answer. What they publish must name the issuer's own URL. It needs
	// an issuer with a single URL. Default: none.
	Fallback []string `json:"fallback,omitempty"`

	// How long a key set is young, at least 1s. It is renewed in the background
	// after 80 % of that. Default: what the issuer's `Cache-Control` or `Expires`
	// says, between 1m and 1h, else 10m. Keys in a file are never renewed.
	JWKSRefresh Duration `json:"jwks_refresh,omitempty"`

	// How long the last good key set serves while the issuer is down, at least 1s
	// and no shorter than `jwks_refresh`. After that its tokens are answered with
	// 503. Default: 24h.
	JWKSMaxStale Duration `json:"jwks_max_stale,omitempty"`

	// Where lists may lie that this issuer's tokens name in their `status` claim (Token
	// Status List): URLs of which each is an origin or a folder of one. A token that
	// names another place is refused, and nothing is fetched. Default: the origin of the
	// issuer's own URL.
	StatusList []string `json:"status_list,omitempty"`

	// Whether this is a server that is only called, by a client: `token_auth` never
	// accepts its tokens, it does not count as trusted, and its keys are not fetched.
	// It has no `audience`. Default: false.
	Outbound bool `json:"outbound,omitempty"`

	// Where the Caddyfile has this block, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// Label names the block and its place, for messages.
func (i *Issuer) Label(name string) string { return at("issuer "+name, i.Place) }

// AcceptsAnyAudience tells whether an audience list is the single word any.
func AcceptsAnyAudience(audience []string) bool {
	return len(audience) == 1 && audience[0] == anyAudience
}

// AcceptedAlgorithms returns the algorithms that tokens may use. Check has
// refused unknown ones.
func (i *Issuer) AcceptedAlgorithms() []jose.Algorithm {
	if len(i.Algorithms) == 0 {
		return jose.Asymmetric()
	}
	algorithms := make([]jose.Algorithm, len(i.Algorithms))
	for n, name := range i.Algorithms {
		algorithms[n] = jose.Algorithm(name)
	}
	return algorithms
}

// The grammar of an issuer:
//
//	issuer <name> <url...> {
//		audience       <aud...> | any
//		jwks           <https url | file>
//		algorithms     <alg...>
//		token_type     <typ | absent...>
//		leeway         <duration>
//		max_token_age  <duration>
//		require_claims <path...>
//		claims {
//			...
//		}
//		trust_ca       <pem file...>
//		fetch_timeout  <duration>
//		fallback       <url...>
//		jwks_refresh   <duration>
//		jwks_max_stale <duration>
//		status_list    <https url prefix...>
//		outbound
//		introspection  [<url>] {
//			...
//		}
//		decrypt        <key file> [<alg>...]
//	}
func (i *Issuer) options() []option {
	return append(i.contentOptions(), []option{
		{word: "audience", read: readList(&i.Audience)},
		{word: "jwks", read: readOne(&i.JWKS)},
		{word: "leeway", read: readOne(&i.Leeway)},
		{word: "trust_ca", read: readList(&i.TrustCA)},
		{word: "fetch_timeout", read: readOne(&i.FetchTimeout)},
		{word: "fallback", read: readList(&i.Fallback)},
		{word: "jwks_refresh", read: readOne(&i.JWKSRefresh)},
		{word: "jwks_max_stale", read: readOne(&i.JWKSMaxStale)},
		{word: "status_list", read: readList(&i.StatusList)},
		{word: "outbound", read: readFlag(&i.Outbound)},
		{word: "introspection", read: i.readIntrospection},
		{word: "decrypt", read: i.readDecrypt, repeat: true},
	}...)
}

func (i *Issuer) settings() []setting {
	return slices.Concat(
		list("url", i.URLs, checkIssuerURL),
		accepted(i.Audience),
		one("jwks", &i.JWKS, checkKeySource),
		i.contentSettings(),
		one("leeway", (*string)(&i.Leeway), checkLeeway),
		list("trust_ca", i.TrustCA, checkText),
		one("fetch_timeout", (*string)(&i.FetchTimeout), checkPositive),
		list("fallback", i.Fallback, checkIssuerURL),
		one("jwks_refresh", (*string)(&i.JWKSRefresh), checkSecond),
		one("jwks_max_stale", (*string)(&i.JWKSMaxStale), checkSecond),
		list("status_list", i.StatusList, checkListPlace),
		i.Introspection.settings(),
		decryptSettings(i.Decrypt),
	)
}

func (i *Issuer) contradiction() error {
	for n, text := range i.URLs {
		if slices.Contains(i.URLs[:n], text) {
			return fmt.Errorf("the URL %s is written twice", text)
		}
	}
	if i.JWKS != "" && len(i.URLs) > 1 {
		return errors.New("jwks needs an issuer with one URL: give each URL a block with its own keys")
	}
	if err := i.contentContradiction(); err != nil {
		return err
	}
	if err := i.keyWords(); err != nil {
		return err
	}
	if err := i.listPlaces(); err != nil {
		return err
	}
	if err := i.opaqueWords(); err != nil {
		return err
	}
	if err := decryptContradiction(i.Decrypt); err != nil {
		return fmt.Errorf("decrypt: %w", err)
	}
	return checkAny(i.Audience)
}

func (i *Issuer) missing() error {
	if len(i.URLs) == 0 {
		return errors.New("a URL is missing: write issuer <name> <url...>")
	}
	if err := i.Introspection.missing(); err != nil {
		return fmt.Errorf("introspection: %w", err)
	}
	if slices.ContainsFunc(i.Decrypt, func(line Decrypt) bool { return line.Key == "" }) {
		return errors.New("decrypt: a key file is missing: write decrypt <key file> [<alg>...]")
	}
	return i.secretsMissing()
}

func (i *Issuer) links(g *Gatehouse) error {
	if g.Sign != nil && slices.Contains(i.URLs, g.Sign.Issuer) && i.foreignKeys(g.Sign.Issuer) {
		return fmt.Errorf("jwks: %s is the issuer in sign, and these keys are not its own: leave jwks out, since the gateway has them; "+
			"those of other regions join by publish in sign", g.Sign.Issuer)
	}
	return i.Introspection.links(g, i)
}

// foreignKeys tells whether the keys lie elsewhere than at the origin of the issuer.
func (i *Issuer) foreignKeys(issuer string) bool {
	if i.JWKS == "" {
		return false
	}
	keys, err := url.Parse(i.JWKS)
	own, errOwn := url.Parse(issuer)
	return err != nil || errOwn != nil || keys.Scheme != own.Scheme || keys.Host != own.Host
}

// accepted are the settings of an audience list that tokens are held against.
func accepted(audience []string) []setting {
	settings := list("audience", audience, checkText)
	for i := range settings {
		settings[i].trusts = true
	}
	return settings
}

// checkAny refuses any beside other audiences: one of the two was not meant.
func checkAny(audience []string) error {
	if len(audience) > 1 && slices.Contains(audience, anyAudience) {
		return errors.New("audience: any accepts every audience: write it alone, or leave it out")
	}
	return nil
}
