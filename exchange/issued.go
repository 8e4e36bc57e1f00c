package exchange

import (
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// An Issued is a token for the upstream. It is shared between requests and must
// not be changed.
type Issued struct {
	// Token prints as its fingerprint; Reveal is for the upstream alone.
	Token token.Raw
	// Credential is the token behind the scheme, as the upstream's header holds
	// it.
	Credential token.Raw
	// Scope is what the server granted, nil if it asked and answered nothing
	// about scope and the token cannot be read.
	Scope []string
	// Expiry is when the token ends by the server's word, zero if it gave none.
	Expiry time.Time
	// ID is the jti of an issued JWT, "" otherwise. Nobody verified it.
	ID string
	// Cached tells that no call was made for it.
	Cached bool
	// Renewing tells that this request set off a call for the next one, which it
	// did not wait for.
	Renewing bool
	// Degraded is why a token that was due to be replaced is served all the same,
	// nil otherwise.
	Degraded *Error

	// shown is the certificate that a minted token is bound to, zero for others.
	shown token.Thumbprint
	// replaced is when it took the place of one that an upstream refused, zero
	// otherwise.
	replaced time.Time
}

// Long tells whether the token may be too long for the upstream: many servers
// allow 8 KiB for all headers together.
func (i *Issued) Long() bool { return len(i.Credential.Reveal()) > longIssued }

const longIssued = 6 << 10

// issuedOverhead estimates what an entry costs beside its texts.
const issuedOverhead = 512

func (i *Issued) weight() uint64 {
	weight := issuedOverhead + max(len(i.Token.Reveal()), len(i.Credential.Reveal())) + len(i.ID)
	for _, scope := range i.Scope {
		weight += len(scope) + 16
	}
	return uint64(weight)
}

// reused returns the same token marked as one that no call was made for.
func (i *Issued) reused() *Issued {
	copied := *i
	copied.Cached = true
	return &copied
}

// degraded returns the same token with the reason why no newer one came.
func (i *Issued) degraded(why *Error) *Issued {
	copied := *i
	copied.Degraded = why
	return &copied
}
