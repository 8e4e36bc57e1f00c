package authserver

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// guestSignatures is how many signatures of one key module may be under way: as many as
// calls to one endpoint.
const guestSignatures = 64

// errSignerPanicked says nothing of what the module panicked with: it may hold anything.
var errSignerPanicked = errors.New("the key module panicked while it signed")

// A guest signs with a key that lives elsewhere. A crypto.Signer knows of no deadline, and
// a device or a KMS may hang: nobody waits longer for it than for the server, and what
// hangs is bounded.
type guest struct{ turns chan struct{} }

func newGuest() *guest { return &guest{turns: make(chan struct{}, guestSignatures)} }

// isGuest tells of a key that is not in this process's memory.
func isGuest(key crypto.Signer) bool {
	switch key.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		return false
	default:
		return true
	}
}

// sign is signer.Sign with a deadline. The error wraps the context's where that came first.
func (g *guest) sign(ctx context.Context, signer *jose.Signer, header map[string]any, payload []byte) (string, error) {
	select {
	case g.turns <- struct{}{}:
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for the key module, which has %d signatures to make: %w", guestSignatures, ctx.Err())
	}
	type signature struct {
		text string
		err  error
	}
	made := make(chan signature, 1)
	go func() {
		defer func() { <-g.turns }()
		result := signature{err: errSignerPanicked}
		defer func() {
			_ = recover() // result says so
			made <- result
		}()
		result.text, result.err = signer.Sign(header, payload)
	}()
	select {
	case result := <-made:
		return result.text, result.err
	case <-ctx.Done():
		return "", fmt.Errorf("waiting for the key module: %w", ctx.Err())
	}
}
