package authserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

var errNoKey = errors.New("the key module gave no key")

// A SigningKey is a private key, which may live elsewhere (a KMS, PKCS#11), and how
// it signs.
type SigningKey struct {
	// Signer is asked for its public half and for signatures alone. It must be safe
	// for concurrent use. Where it is no key of Go's own it may take its time: a request
	// does not wait longer for it than the client's timeout, and at most 64 signatures are
	// under way.
	Signer crypto.Signer
	// Algorithm signs. Default: the one of the key's type, RS256 for RSA.
	Algorithm jose.Algorithm
	// ID is the kid. Default: none.
	ID string
}

// signer pairs the key with its algorithm.
func (k SigningKey) signer() (*jose.Signer, error) {
	if k.Signer == nil {
		return nil, errNoKey
	}
	if k.Algorithm == "" {
		alg, err := jose.DefaultAlgorithm(k.Signer)
		if err != nil {
			return nil, err
		}
		k.Algorithm = alg
	}
	return jose.NewSigner(k.Signer, k.Algorithm, k.ID)
}

// A KeySource gives the key that signs assertions. It must be safe for concurrent
// use.
type KeySource interface {
	// SigningKey returns the key to sign with now. It is called for each assertion,
	// so what is slow to find should be remembered.
	SigningKey(ctx context.Context) (SigningKey, error)
}

// A Rereader is a KeySource that can look for another key at once, when the server
// has refused the one it gave.
type Rereader interface{ Reread() }

// KeyAssertion proves the client by assertions signed with the key of a source
// (private_key_jwt). name tells this source from others in cache keys; it must
// hold no secret. A key that does not fit its algorithm shows at the first request.
func KeyAssertion(name string, source KeySource, shape Assertion) (ClientAuth, error) {
	maker, err := newAsserter(shape)
	if err != nil {
		return nil, err
	}
	return &keyAuth{id: "private_key_jwt " + name, source: source, maker: maker, guest: newGuest()}, nil
}

// A WatchedKey is a KeySource whose key lies in a file.
type WatchedKey struct{ file *watched[SigningKey] }

// WatchKey reads a key file for the first time. It is read again when it changes;
// log is told when that fails.
func WatchKey(key KeyFile, log *slog.Logger) (*WatchedKey, error) {
	file, err := watch(key.Path, log, key.signingKey)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return &WatchedKey{file}, nil
}

// SigningKey implements KeySource.
func (k *WatchedKey) SigningKey(context.Context) (SigningKey, error) { return k.file.get(), nil }

// Reread implements Rereader.
func (k *WatchedKey) Reread() { k.file.reread() }
