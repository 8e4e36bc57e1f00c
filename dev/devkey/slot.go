package devkey

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
)

func init() { caddy.RegisterModule((*Slot)(nil)) }

// The states in which a slot shows its key and does not sign.
const (
	// Locked says so at once.
	Locked = "locked"
	// Hangs says nothing at all until it is over.
	Hangs = "hangs"
)

// lookAgain is how often a slot that hangs looks whether that is over.
const lookAgain = 20 * time.Millisecond

// Slot stands for a place in a device that holds an EC key for ES256.
type Slot struct {
	// The file that is the slot: two words, the kid and the key, and `locked` or `hangs`
	// behind them while it does not sign. Required.
	File string `json:"file,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Slot) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "gatehouse.keys.dev_slot", New: func() caddy.Module { return new(Slot) }}
}

// UnmarshalCaddyfile reads the rest of the line. Syntax:
//
//	dev_slot <file>
func (s *Slot) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if !d.AllArgs(&s.File) {
		return d.ArgErr()
	}
	return nil
}

// Provision looks at the slot for the first time.
func (s *Slot) Provision(caddy.Context) error {
	_, _, err := s.read()
	return err
}

// SigningKey implements authserver.KeySource. It looks at the slot each time, as somebody
// may have pulled the device.
func (s *Slot) SigningKey(context.Context) (authserver.SigningKey, error) {
	id, key, err := s.read()
	return authserver.SigningKey{Signer: key, ID: id}, err
}

// handle is the way to the key in the slot: nothing but its public half and its
// signatures ever leave it.
type handle struct {
	slot   *Slot
	inside *ecdsa.PrivateKey
	state  string
}

// Public implements crypto.Signer.
func (h handle) Public() crypto.PublicKey { return h.inside.Public() }

// Sign implements crypto.Signer.
func (h handle) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	for h.state == Hangs {
		<-time.After(lookAgain)
		var err error
		if _, h, err = h.slot.read(); err != nil {
			return nil, err
		}
	}
	if h.state == Locked {
		return nil, errors.New("dev_slot: the slot is locked")
	}
	return h.inside.Sign(random, digest, opts)
}

func (s *Slot) read() (id string, key handle, err error) {
	raw, err := os.ReadFile(s.File)
	if err != nil {
		return "", handle{}, fmt.Errorf("dev_slot: %w", err)
	}
	words := strings.Fields(string(raw))
	if len(words) < 2 {
		return "", handle{}, fmt.Errorf("dev_slot: %s: a slot has a kid and a key", s.File)
	}
	scalar, err := base64.RawURLEncoding.DecodeString(words[1])
	if err != nil {
		return "", handle{}, fmt.Errorf("dev_slot: %s: the key is not base64url", s.File)
	}
	inside, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
	if err != nil {
		return "", handle{}, fmt.Errorf("dev_slot: %s: the key is none of P-256", s.File)
	}
	return words[0], handle{s, inside, strings.Join(words[2:], " ")}, nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*Slot)(nil)
	_ caddyfile.Unmarshaler = (*Slot)(nil)
	_ config.KeyModule      = (*Slot)(nil)
	_ crypto.Signer         = handle{}
)
