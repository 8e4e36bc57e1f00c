package exchange

import (
	"errors"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Lifetimes of tokens that the gateway mints.
const (
	// DefaultLifetime is that of an access token unless configured, MaxLifetime the
	// longest.
	DefaultLifetime = 2 * time.Minute
	MaxLifetime     = 10 * time.Minute
	// MaxTransactionLifetime is the longest of a transaction token, and the default.
	MaxTransactionLifetime = time.Minute
)

// A Minter mints tokens in the gateway's own name; see signing.Minter, which is
// one.
type Minter interface {
	// Mint makes a token. Errors are those of signing.Minter.Mint.
	Mint(purpose signing.Purpose, claims *signing.Claims) (*signing.Minted, error)
	// Issuer is the iss of the tokens, and the gateway's own identifier.
	Issuer() string
	// KeyID is the kid that the next token is signed with, "" if there is no key.
	KeyID(purpose signing.Purpose) string
}

// A CopiedClaim is one claim that a minted token has of the caller's.
type CopiedClaim struct {
	// Name is its name in the minted token.
	Name string
	// Path is where the caller's token has it; see token.Claims.Lookup. A token
	// without it makes one without it.
	Path string
}

// A Local says what GrantLocal mints.
type Local struct {
	// Minter mints. Required.
	Minter Minter
	// Type is what the token is for. Default: signing.AccessTokens. A transaction token
	// is made for one request and never kept.
	Type signing.Purpose
	// Lifetime is how long a token is good, and never longer than the caller's.
	// Default: DefaultLifetime, or MaxTransactionLifetime.
	Lifetime time.Duration
	// Claims are copied from the caller's token. A transaction token has them in tctx.
	Claims []CopiedClaim
	// Subjects says what sub is.
	Subjects Subjects
	// Origin is what an access token says that it was derived from, a caller's token;
	// see signing.Claims. Default: nothing.
	Origin func(caller *token.Token) []byte
	// Impersonate leaves the gateway out of act. Default: it is named there as the
	// current actor (RFC 8693, section 4.1).
	Impersonate bool

	identity map[string]any // the gateway as an actor; nobody changes it
}

func (l *Local) withDefaults() *Local {
	filled := *l
	if filled.Type == "" {
		filled.Type = signing.AccessTokens
	}
	if filled.Lifetime <= 0 {
		filled.Lifetime = DefaultLifetime
		if filled.Type == signing.TransactionTokens {
			filled.Lifetime = MaxTransactionLifetime
		}
	}
	filled.identity = map[string]any{"iss": l.Minter.Issuer(), "sub": l.Minter.Issuer()}
	return &filled
}

func (l *Local) check(leg Leg) error {
	switch {
	case l == nil || l.Minter == nil:
		return errors.New("grant local needs a minter")
	case len(leg.Audience)+len(leg.Resource) != 1:
		return errors.New("grant local needs one audience or one resource: a token is for one service (RFC 9700, section 2.3)")
	case l.Type == signing.TransactionTokens && len(leg.Scope)+len(leg.ScopeExact) == 0:
		return errors.New("type txn needs scope or scope_exact: a transaction token says what it is for")
	case l.Lifetime > MaxLifetime || l.Type == signing.TransactionTokens && l.Lifetime > MaxTransactionLifetime:
		return errors.New("lifetime is longer than a minted token may live")
	case slices.ContainsFunc(l.Claims, func(c CopiedClaim) bool { return c.Name == "" || signing.Reserved(c.Name) }):
		return errors.New("a claim has no name, or one that the gateway writes itself")
	}
	return l.Subjects.check()
}

// fields are what tells tokens of these settings from others, for keys.
func (l *Local) fields() []string {
	if l == nil {
		return nil
	}
	actor := "delegation"
	if l.Impersonate {
		actor = "impersonation"
	}
	fields := []string{l.Minter.Issuer(), string(l.Type), l.Lifetime.String(), actor}
	fields = append(fields, l.Subjects.fields()...)
	for _, claim := range l.Claims {
		fields = append(fields, claim.Name, claim.Path)
	}
	return fields
}
