package signing

import (
	"errors"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A Purpose is what keys are for. Each has a key set of its own, so that a
// signature of one kind of token is never good for another (RFC 8725, section
// 3.12).
type Purpose string

// The purposes.
const (
	// AccessTokens are tokens of type at+jwt (RFC 9068).
	AccessTokens Purpose = "at"
	// TransactionTokens are tokens of type txntoken+jwt.
	TransactionTokens Purpose = "txn"
)

// ErrNoKey means that there is no active key to sign with, now.
var ErrNoKey = errors.New("no active signing key")

// Keys hold what is signed with at this moment.
type Keys interface {
	// Signer returns the active key of that purpose, or ErrNoKey.
	Signer(purpose Purpose) (*jose.Signer, error)
}

// Fixed returns keys that are one signer for every purpose, for ever.
func Fixed(signer *jose.Signer) Keys { return fixed{signer} }

type fixed struct{ signer *jose.Signer }

func (f fixed) Signer(Purpose) (*jose.Signer, error) {
	if f.signer == nil {
		return nil, ErrNoKey
	}
	return f.signer, nil
}
