package config

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// minSeal is the length of a secret that nobody can guess, in bytes.
const minSeal = 32

// Seal is the secret that protects what the gateway stores: its private keys in
// Caddy's storage, and everything in Redis. With it the nodes take each other's DPoP nonces. A key is
// derived from it for each purpose. All nodes have the same.
type Seal struct {
	// The secret, as a list, each at least 32 bytes; while it rotates, the new one
	// and the old one. The first seals, and each opens. A change has three steps, each
	// on all nodes before the next: write the new one second, then first, then alone.
	// Required with `store redis`, and with `sign`, unless Caddy's storage is the file
	// system.
	Secrets []Secret `json:"secrets,omitempty"`

	// Where the Caddyfile has the first line, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// Reveal returns the secrets, the one that seals first. A nil Seal has none.
func (s *Seal) Reveal() []string {
	if s == nil {
		return nil
	}
	revealed := make([]string, len(s.Secrets))
	for i, secret := range s.Secrets {
		revealed[i] = secret.Reveal()
	}
	return revealed
}

// readSeal reads one line. Syntax:
//
//	seal <secret>
func (g *Gatehouse) readSeal(d *caddyfile.Dispenser) error {
	seal := Seal{Place: place(d)}
	if g.Seal != nil {
		seal = *g.Seal
	}
	var secret Secret
	if err := readOne(&secret)(d); err != nil {
		return err
	}
	if d.CountRemainingArgs() > 0 {
		return errors.New("more than one value on the line: a secret with blanks needs quotes")
	}
	seal.Secrets = append(seal.Secrets, secret)
	g.Seal = &seal
	return checkLine(&seal)
}

func (s *Seal) options() []option { return nil }

func (s *Seal) settings() []setting {
	settings := make([]setting, len(s.Secrets))
	for i := range s.Secrets {
		settings[i] = setting{word: "secret", text: (*string)(&s.Secrets[i]), check: checkSeal, secret: true}
	}
	return settings
}

func (s *Seal) contradiction() error {
	switch {
	case len(s.Secrets) > 2: //nolint:mnd // old and new
		return errors.New("more than two secrets: keep the old one and the new one while they rotate")
	case len(s.Secrets) == 2 && s.Secrets[0] == s.Secrets[1]:
		return errors.New("both secrets are the same: keep one line")
	}
	return nil
}

func (s *Seal) missing() error {
	if len(s.Secrets) == 0 {
		return errors.New("the secret is missing: write seal <secret>")
	}
	return nil
}

func (s *Seal) links(*Gatehouse) error { return nil }

// checkSeal accepts a secret that nobody can guess. It is never quoted.
func checkSeal(text string) error {
	if len(text) < minSeal {
		return fmt.Errorf("it has %d bytes, and at least %d are needed: make one with openssl rand -base64 32", len(text), minSeal)
	}
	return nil
}
