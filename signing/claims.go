package signing

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Claims are what a token is to say. What is empty is left out.
type Claims struct {
	// Subject is sub. Required.
	Subject string
	// SubjectID is sub_id: the subject as its own issuer names it. Default: none.
	SubjectID SubjectID
	// Audience is aud: one text, since a token is for one service (RFC 9700, section
	// 2.3). Required. In a transaction token it is the trust domain.
	Audience string
	// Client is client_id, the client that the token was issued to. Required, and in
	// access tokens only (RFC 9068, section 2.2).
	Client string
	// Scope is scope, in order. nil: no such claim; an empty list: an empty one. A
	// transaction token needs one.
	Scope []string
	// Act is act: the current actor, around those before it (RFC 8693, section 4.1).
	Act map[string]any
	// AuthTime, ACR and AMR are the claims of the login (RFC 9068, section 2.2.1).
	AuthTime time.Time
	ACR      string
	AMR      []string
	// Confirmation is cnf, the key that the token is bound to (RFC 7800).
	Confirmation token.Confirmation
	// Transaction is txn, which is the same along a chain of calls. A transaction
	// token needs one.
	Transaction string
	// Workload is req_wl: who asked for a transaction token. Required there, and
	// there only.
	Workload string
	// Context and Requester are tctx and rctx of a transaction token: what is being
	// done, and from where it was asked for.
	Context, Requester map[string]any
	// Extra are further claims. A reserved name is an error; see Reserved.
	Extra map[string]any
	// Origin is what the token is derived from, in octets that mean something to whoever
	// reads them with Veil.Origin. Default: nothing.
	Origin []byte
	// Lifetime is how long the token is good from now. Required.
	Lifetime time.Duration
	// NotAfter bounds exp, zero: nothing does. It is the end of what the token is
	// derived from.
	NotAfter time.Time
}

// A SubjectID is a subject identifier of format iss_sub (RFC 9493, section 3.2.4).
type SubjectID struct{ Issuer, Subject string }

// reserved are the claims that say how a token may be used, who made it and for
// whom: those that the minter writes, and those by which others take a JWT for
// something else (an ID token, a logout token, a security event). The first kind
// is from RFC 7519, 7800, 8693, 9068, 9396 and 9493.
var reserved = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "cnf", "act", "may_act", "scope", "scp", "client_id", "azp",
	"auth_time", "acr", "amr", "authorization_details", "sub_id", "txn", "tctx", "rctx", "req_wl", "purp", "azd",
	"nonce", "at_hash", "c_hash", "s_hash", "sub_jwk", "events", "toe", "token_introspection", "status",
	"_claim_names", "_claim_sources", "typ", "token_use", "token_type",
	OriginClaim,
}

// Reserved tells whether a claim is one that no configuration may write.
func Reserved(name string) bool { return slices.Contains(reserved, name) }

// check finds what a token of that purpose lacks, or must not have.
func (c *Claims) check(purpose Purpose) error {
	if types[purpose] == "" {
		return fmt.Errorf("%w: unknown purpose %q", ErrClaims, purpose)
	}
	if missing := c.missing(purpose); missing != "" {
		return fmt.Errorf("%w: %s is missing", ErrClaims, missing)
	}
	for name := range c.Extra {
		if Reserved(name) {
			return fmt.Errorf("%w: %s is not for others to write", ErrClaims, name)
		}
	}
	return nil
}

// missing names what a token of that purpose cannot do without, "" if all is there.
func (c *Claims) missing(purpose Purpose) string {
	switch {
	case c.Subject == "":
		return "sub"
	case c.Audience == "":
		return "aud"
	case c.Lifetime <= 0:
		return "a lifetime"
	case purpose == TransactionTokens:
		return c.missingTransaction()
	case c.Client == "":
		return "client_id"
	default:
		return ""
	}
}

func (c *Claims) missingTransaction() string {
	switch {
	case c.Transaction == "":
		return "txn"
	case c.Workload == "":
		return "req_wl"
	case len(c.Scope) == 0:
		return "scope"
	default:
		return ""
	}
}
