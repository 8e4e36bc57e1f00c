package signing

import (
	"errors"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A Purpose is a kind of token with keys of its own, so that no token can be taken
// for one of another kind (RFC 8725, section 3.12).
type Purpose string

// The purposes.
const (
	// AccessTokens are at+jwt (RFC 9068).
	AccessTokens Purpose = "at"
	// TransactionTokens are txntoken+jwt.
	TransactionTokens Purpose = "txn"
)

// Purposes returns every purpose, in a fixed order.
func Purposes() []Purpose { return []Purpose{AccessTokens, TransactionTokens} }

// ErrNoKey says that there is no key that may sign now. It is nobody's fault but
// the gateway's: callers get 503.
var ErrNoKey = errors.New("no signing key is active")

// Keys has the keys that sign now. It is safe for concurrent use, and fast.
type Keys interface {
	// Signer is the active key of that purpose. It fails with ErrNoKey while there is
	// none.
	Signer(purpose Purpose) (*jose.Signer, error)
	// Holds tells whether a key with that kid is still published. Whoever remembers
	// tokens that were signed asks before each use, since a key that is retired for
	// an emergency takes its tokens with it.
	Holds(kid string) bool
}

// Fixed makes Keys of one signer, for every purpose: for tests and tools.
func Fixed(signer *jose.Signer) Keys { return fixed{signer} }

type fixed struct{ signer *jose.Signer }

// Signer implements Keys.
func (f fixed) Signer(Purpose) (*jose.Signer, error) {
	if f.signer == nil {
		return nil, ErrNoKey
	}
	return f.signer, nil
}

// Holds implements Keys.
func (f fixed) Holds(kid string) bool { return f.signer != nil && f.signer.KeyID() == kid }
