package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/signing"
)

// The types of token that grant local mints.
const (
	// TypeAccess is an access token, at+jwt (RFC 9068).
	TypeAccess = "at"
	// TypeTransaction is a transaction token, txntoken+jwt.
	TypeTransaction = "txn"
)

// wordClient is the option that names who asks a server.
const wordClient = RuleClient

// minLifetime leaves a minted token time to reach its upstream.
const minLifetime = 5 * time.Second

// A ClaimCopy is one claim that a minted token has of the caller's.
type ClaimCopy struct {
	// Its name in the minted token. Names that say how a token may be used are
	// refused.
	Name string `json:"name,omitempty"`

	// Where the caller's token has it: a claim's name, a path with dots, or a JSON
	// Pointer.
	Path string `json:"path,omitempty"`
}

// IsLocal tells whether the gateway mints the token itself.
func (e *Exchange) IsLocal() bool { return e.GrantType() == GrantLocal }

// MintsTransaction tells whether it mints transaction tokens.
func (e *Exchange) MintsTransaction() bool { return e.IsLocal() && e.Type == TypeTransaction }

// Target returns the header and the scheme, "" for none, of the upstream's token.
// A transaction token is no access token, so it has a header of its own.
func (e *Exchange) Target() (header, scheme string) {
	if e.Inject == nil && e.MintsTransaction() {
		return "Txn-Token", ""
	}
	return e.Inject.Target()
}

// Impersonates tells whether a minted token does not name the gateway.
func (e *Exchange) Impersonates() bool { return e.Actor != nil && e.Actor.None }

func (e *Exchange) readClaim(d *caddyfile.Dispenser) error {
	var claim ClaimCopy
	for _, to := range []*string{&claim.Name, &claim.Path} {
		if err := readOne(to)(d); err != nil {
			return fmt.Errorf("%w: write claim <name> <path>", err)
		}
	}
	e.Claims = append(e.Claims, claim)
	return nil
}

func (e *Exchange) claimSettings() []setting {
	settings := make([]setting, 0, 2*len(e.Claims)) //nolint:mnd // name and path
	for i := range e.Claims {
		settings = append(settings,
			setting{word: "claim", text: &e.Claims[i].Name, check: checkClaimName},
			setting{word: "claim", text: &e.Claims[i].Path, check: checkPath})
	}
	return settings
}

// checkClaimName accepts what the gateway does not write itself.
func checkClaimName(text string) error {
	if signing.Reserved(text) {
		return fmt.Errorf("%s is a claim that the gateway writes itself, or one that says what a token is: give the copy another name", text)
	}
	return checkText(text)
}

func checkLifetime(text string) error {
	value, err := parseDuration(text)
	if err != nil {
		return err
	}
	if value < minLifetime || value > exchange.MaxLifetime {
		return fmt.Errorf("%s is not between 5s and 10m", text)
	}
	return nil
}

// localContradiction refuses words of the wrong side: those of a request to a server
// where none is asked, and those of minting where nothing is minted.
func (e *Exchange) localContradiction() error {
	if !e.IsLocal() {
		if e.Grant == "" && e.Client == "" {
			return nil // the grant may follow
		}
		return e.mintingWords()
	}
	if word := firstWritten(
		wordWritten{wordClient, e.Client != ""}, wordWritten{"subject_type", e.SubjectType != ""},
		wordWritten{"subject_issuer", len(e.SubjectIssuer) > 0}, wordWritten{"requested_type", e.RequestedType != ""},
		wordWritten{"param", len(e.Params) > 0}, wordWritten{"accept", e.Accept != nil}, wordWritten{"then", e.Then != nil},
		wordWritten{"actor file", e.Actor != nil && e.Actor.File != ""},
	); word != "" {
		return fmt.Errorf("%s and grant local exclude each other: the gateway mints the token itself and asks no server", word)
	}
	if len(e.Audience)+len(e.Resource) > 1 {
		return errors.New("grant local takes one audience or one resource: a token is for one service (RFC 9700, section 2.3), so write an exchange for each")
	}
	for n, claim := range e.Claims {
		if slices.ContainsFunc(e.Claims[:n], func(c ClaimCopy) bool { return c.Name == claim.Name }) {
			return fmt.Errorf("claim: %s is written twice", claim.Name)
		}
	}
	return e.transactionContradiction()
}

// mintingWords refuses what says how to mint.
func (e *Exchange) mintingWords() error {
	if word := firstWritten(
		wordWritten{"claim", len(e.Claims) > 0}, wordWritten{"type", e.Type != ""}, wordWritten{"lifetime", e.Lifetime != ""},
	); word != "" {
		return fmt.Errorf("%s needs grant local: what another server issues is for that server to say", word)
	}
	return nil
}

// missingGrant finds words that only another grant has, once it is known that none
// is written.
func (e *Exchange) missingGrant() error {
	if e.Anonymous && e.Grant == "" {
		return errAnonymous
	}
	if err := e.mintingWords(); err != nil {
		return err
	}
	if e.Client == "" {
		return errors.New("client is missing: write client <client>")
	}
	return nil
}

// transactionContradiction refuses what a transaction token cannot have.
func (e *Exchange) transactionContradiction() error {
	if e.Type != TypeTransaction {
		return nil
	}
	switch {
	case e.CacheEntries != "" || e.MaxTTL != "":
		return errors.New("type txn and cache_entries or max_ttl exclude each other: a transaction token is made for one request")
	case e.Bind != nil:
		return errors.New("type txn and bind exclude each other: a transaction token is carried along unchanged by many, and bound to none")
	case e.Actor != nil:
		return errors.New("type txn and actor exclude each other: req_wl names the gateway")
	case strings.EqualFold(e.injectHeader(), "Authorization"):
		return errors.New("type txn and inject Authorization exclude each other: a transaction token is no access token")
	case !strings.Contains(string(e.Lifetime), "{") && e.Lifetime.Or(0) > exchange.MaxTransactionLifetime:
		return fmt.Errorf("lifetime: %s is too long for a transaction token: write at most 1m", e.Lifetime)
	}
	return nil
}

func (e *Exchange) injectHeader() string {
	if e.Inject == nil {
		return ""
	}
	return e.Inject.Header
}

// missingLocal finds what grant local needs. It is known when the block ends.
func (e *Exchange) missingLocal() error {
	for _, claim := range e.Claims {
		if claim.Name == "" || claim.Path == "" {
			return errors.New("claim: name or path is missing: write claim <name> <path>")
		}
	}
	switch {
	case len(e.Audience)+len(e.Resource) == 0:
		return errors.New("audience is missing: write audience <aud>, the one service that the token is for")
	case e.Type == TypeTransaction && len(e.Scope)+len(e.ScopeExact) == 0:
		return errors.New("scope is missing: a transaction token says what it is for, so write scope or scope_exact")
	case e.BindKind() == BindMTLS && e.Bind.Certificate == "":
		return errors.New("bind: the files are missing: grant local has no client whose certificate could be meant, so write bind mtls <cert file> <key file>")
	}
	return nil
}

// localLinks needs keys to sign with.
func (e *Exchange) localLinks(g *Gatehouse) error {
	if g.Sign == nil {
		return errors.New("grant local needs the gateway's own keys: write a sign block in the global option gatehouse")
	}
	return nil
}
