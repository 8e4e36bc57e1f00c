package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// absentType is the word for tokens without a typ header.
const absentType = "absent"

// IssuerClaims says where an issuer puts what the gateway reads of a token. Each
// is a path to a claim: a claim's name, names joined by dots, or a JSON Pointer
// that begins with a slash. Of several paths the first that leads to a claim
// counts.
type IssuerClaims struct {
	// The subject, a text that names the caller. Default: `sub`.
	Subject string `json:"subject,omitempty"`

	// The scopes that the caller holds: a text of scopes parted by blanks, or a
	// list. Default: `scope`, then `scp`.
	Scope []string `json:"scope,omitempty"`

	// The OAuth client that the token was issued to, a text. Default: `client_id`,
	// then `azp`.
	Client []string `json:"client,omitempty"`

	// The roles that the caller holds, for `role` rules: a list, or a text that is
	// one role. Default: none are read.
	Roles []string `json:"roles,omitempty"`
}

// The grammar of claims, a block of issuer:
//
//	claims {
//		subject <path>
//		scope   <path...>
//		client  <path...>
//		roles   <path...>
//	}
func (c *IssuerClaims) options() []option {
	return []option{
		{word: "subject", read: readOne(&c.Subject)},
		{word: "scope", read: readList(&c.Scope)},
		{word: "client", read: readList(&c.Client)},
		{word: "roles", read: readList(&c.Roles)},
	}
}

func (c *IssuerClaims) settings() []setting {
	return slices.Concat(
		one("subject", &c.Subject, checkPath),
		list("scope", c.Scope, checkPath),
		list("client", c.Client, checkPath),
		list("roles", c.Roles, checkPath),
	)
}

func (c *IssuerClaims) contradiction() error {
	return noneTwice(map[string][]string{"scope": c.Scope, "client": c.Client, "roles": c.Roles})
}

func (*IssuerClaims) missing() error { return nil }

// noneTwice refuses a value that stands in one list twice: one of the two was
// meant to be another.
func noneTwice(lists map[string][]string) error {
	for _, word := range slices.Sorted(maps.Keys(lists)) {
		for n, text := range lists[word] {
			if slices.Contains(lists[word][:n], text) {
				return fmt.Errorf("%s: %q is written twice", word, text)
			}
		}
	}
	return nil
}

func (i *Issuer) readClaims(d *caddyfile.Dispenser) error {
	if !opensBlock(d) {
		return errors.New("a block in braces is missing, with subject, scope, client or roles in it")
	}
	claims := new(IssuerClaims)
	if err := readBlock(d, "claims", claims); err != nil {
		return err
	}
	i.Claims = claims
	return nil
}

// contentOptions are the words for what a token of the issuer must say and where.
func (i *Issuer) contentOptions() []option {
	return []option{
		{word: "algorithms", read: readList(&i.Algorithms)},
		{word: "token_type", read: readList(&i.TokenType)},
		{word: "max_token_age", read: readOne(&i.MaxTokenAge)},
		{word: "require_claims", read: readList(&i.RequireClaims)},
		{word: "claims", read: i.readClaims},
	}
}

func (i *Issuer) contentSettings() []setting {
	settings := slices.Concat(
		list("algorithms", i.Algorithms, checkAlgorithm),
		list("token_type", i.TokenType, checkTokenType),
		one("max_token_age", (*string)(&i.MaxTokenAge), checkPositive),
		list("require_claims", i.RequireClaims, checkPath),
	)
	if i.Claims == nil {
		return settings
	}
	for _, s := range i.Claims.settings() {
		s.word = "claims: " + s.word
		settings = append(settings, s)
	}
	return settings
}

func (i *Issuer) contentContradiction() error {
	if err := noneTwice(map[string][]string{
		"algorithms": i.Algorithms, "token_type": normalTypes(i.TokenType), "require_claims": i.RequireClaims,
	}); err != nil {
		return err
	}
	if i.Claims != nil {
		if len(i.Claims.settings()) == 0 {
			return errors.New("claims: the block is empty: write an option in it, or leave it out")
		}
		if err := i.Claims.contradiction(); err != nil {
			return fmt.Errorf("claims: %w", err)
		}
	}
	return i.secretsContradiction()
}

// secretsContradiction keeps shared secrets and public keys apart. An issuer that
// accepted both would be one mistake away from taking a public key, which
// everybody has, for a secret (RFC 8725, section 2.1).
func (i *Issuer) secretsContradiction() error {
	symmetric := i.firstAlgorithm(jose.Symmetric())
	if symmetric == "" {
		return nil
	}
	if asymmetric := i.firstAlgorithm(jose.Asymmetric()); asymmetric != "" {
		return fmt.Errorf("algorithms: %s signs with a shared secret and %s with a key pair: one issuer has one kind of key", symmetric, asymmetric)
	}
	if strings.Contains(i.JWKS, "://") {
		return fmt.Errorf("algorithms: %s signs with a shared secret, which is never fetched: write jwks <file>, with oct keys in it", symmetric)
	}
	return nil
}

// secretsMissing asks for the file that shared secrets need.
func (i *Issuer) secretsMissing() error {
	if symmetric := i.firstAlgorithm(jose.Symmetric()); symmetric != "" && i.JWKS == "" {
		return fmt.Errorf("algorithms: %s signs with a shared secret: write jwks <file>, with oct keys in it", symmetric)
	}
	return nil
}

// firstAlgorithm returns the first of the configured algorithms that is among
// these, "" if none is.
func (i *Issuer) firstAlgorithm(among []jose.Algorithm) string {
	n := slices.IndexFunc(i.Algorithms, func(name string) bool { return slices.Contains(among, jose.Algorithm(name)) })
	if n < 0 {
		return ""
	}
	return i.Algorithms[n]
}

// UsesSecrets tells whether the issuer signs with shared secrets.
func (i *Issuer) UsesSecrets() bool { return i.firstAlgorithm(jose.Symmetric()) != "" }

// AcceptedTypes returns the accepted typ headers, "" for an absent one; nil means
// the defaults.
func (i *Issuer) AcceptedTypes() []string {
	types := normalTypes(i.TokenType)
	for n := range types {
		if types[n] == absentType {
			types[n] = ""
		}
	}
	return types
}

// ClaimPaths returns where the issuer puts things; what is empty means the
// defaults.
func (i *Issuer) ClaimPaths() token.ClaimPaths {
	if i.Claims == nil {
		return token.ClaimPaths{}
	}
	return token.ClaimPaths{
		Subject: i.Claims.Subject, Scope: i.Claims.Scope, Client: i.Claims.Client, Roles: i.Claims.Roles,
	}
}

// normalTypes writes media types as tokens mostly do: in small letters, without
// application/ (RFC 7515, section 4.1.9).
func normalTypes(written []string) []string {
	if len(written) == 0 {
		return nil
	}
	types := make([]string, len(written))
	for n, text := range written {
		types[n] = strings.TrimPrefix(strings.ToLower(text), "application/")
	}
	return types
}

// otherTypes are those of JWTs that say something else than what their bearer
// may do; to accept one is to let a message pass for a key.
var otherTypes = []string{
	"dpop+jwt", "logout+jwt", "secevent+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "statuslist+jwt", "client-authentication+jwt",
	"txntoken+jwt", "oauth-id-jag+jwt",
}

// checkTokenType accepts the typ of an access token, or absent.
func checkTokenType(text string) error {
	if text == "" {
		return errEmpty
	}
	kind := normalTypes([]string{text})[0]
	switch {
	case !isHTTPToken(kind):
		return fmt.Errorf("%q is not a token type such as at+jwt", text)
	case slices.Contains(otherTypes, kind):
		return fmt.Errorf("%s is the type of another kind of JWT, which gives access to nothing", text)
	}
	return nil
}
