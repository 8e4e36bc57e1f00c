package authserver

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A device is a guest's signer.
type device struct {
	inside *ecdsa.PrivateKey
	before func()
}

func (d device) Public() crypto.PublicKey { return d.inside.Public() }

func (d device) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	d.before()
	return d.inside.Sign(random, digest, opts)
}

func deviceSigner(t *testing.T, before func()) *jose.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if isGuest(key) || !isGuest(device{key, before}) {
		t.Error("a key of Go's own is taken for a guest's, or a guest's for one of Go's own")
	}
	signer, err := jose.NewSigner(device{key, before}, "ES256", "")
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// Whoever waits for a key module waits no longer than it may, and what hangs is bounded.
func TestGuestThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mended := make(chan struct{})
		begun := 0 // by one at a time: the test waits in between
		signer := deviceSigner(t, func() { begun++; <-mended })
		hanging := newGuest()
		for range guestSignatures + 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := hanging.sign(ctx, signer, nil, []byte("{}")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("signing: %v", err)
			}
			cancel()
			synctest.Wait()
		}
		if begun != guestSignatures {
			t.Errorf("%d signatures are under way, want %d", begun, guestSignatures)
		}
		close(mended)
		synctest.Wait()
		if text, err := hanging.sign(t.Context(), deviceSigner(t, func() {}), nil, []byte("{}")); err != nil || strings.Count(text, ".") != 2 {
			t.Errorf("signing again: %q, %v", text, err)
		}
	})
}

// A key module that panics ends no process, and its words go nowhere.
func TestGuestThatPanics(t *testing.T) {
	panicking := newGuest()
	signer := deviceSigner(t, func() { panic("PIN 1234") })
	for range guestSignatures + 1 {
		if _, err := panicking.sign(t.Context(), signer, nil, []byte("{}")); !errors.Is(err, errSignerPanicked) || strings.Contains(err.Error(), "1234") {
			t.Fatalf("signing: %v", err)
		}
	}
}
