package config

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

func init() { caddy.RegisterModule((*KeysFile)(nil)) }

// A KeyModule is a module of the namespace gatehouse.keys: it holds a private key,
// or the way to one in a key store. It signs through Go's crypto.Signer. To be
// written in a Caddyfile it implements caddyfile.Unmarshaler.
type KeyModule interface {
	caddy.Module
	authserver.KeySource
}

// KeysFile is the key module `file`: a private key in a file, which is what `key`
// is as well.
type KeysFile struct {
	ClientKey

	authserver.KeySource `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (*KeysFile) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "gatehouse.keys.file", New: func() caddy.Module { return new(KeysFile) }}
}

// UnmarshalCaddyfile reads the rest of the line. Syntax:
//
//	file <path> [<alg>] [<kid>]
func (k *KeysFile) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	if err := k.read(d); err != nil {
		return locate(d, "file", err)
	}
	if d.NextArg() {
		return locate(d, "file", errTooMany(d))
	}
	if opensBlock(d) {
		return locate(d, "file", errors.New("it takes no block: write file <path> [<alg>] [<kid>]"))
	}
	return nil
}

// Provision implements caddy.Provisioner.
func (k *KeysFile) Provision(ctx caddy.Context) error {
	if k.File == "" {
		return errors.New("file: the path is missing: write file <path> [<alg>] [<kid>]")
	}
	for _, s := range k.settings("file") {
		if *s.text == "" {
			continue
		}
		text, err := caddy.NewReplacer().ReplaceOrErr(*s.text, true, true)
		if err != nil {
			return fmt.Errorf("file: %w", err)
		}
		if err := s.check(text); err != nil {
			return fmt.Errorf("file: %w", err)
		}
		*s.text = text
	}
	source, err := authserver.WatchKey(authserver.KeyFile{
		Path: k.File, Algorithm: jose.Algorithm(k.Algorithm), ID: k.ID,
	}, ctx.Slogger())
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	k.KeySource = source
	return nil
}

// Reread implements authserver.Rereader.
func (k *KeysFile) Reread() {
	if again, ok := k.KeySource.(authserver.Rereader); ok {
		again.Reread()
	}
}

func (c *Client) readKeyModule(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return errors.New("the module is missing: write key_module file <path> [<alg>] [<kid>], or another module of gatehouse.keys")
	}
	name := d.Val()
	loaded, err := caddyfile.UnmarshalModule(d, "gatehouse.keys."+name)
	if err != nil {
		return located{err}
	}
	if _, ok := loaded.(KeyModule); !ok {
		return fmt.Errorf("module gatehouse.keys.%s gives no signing key", name)
	}
	c.KeyModuleRaw = caddyconfig.JSONModuleObject(loaded, "module", name, nil)
	return nil
}

// Interface guards.
var (
	_ caddy.Provisioner     = (*KeysFile)(nil)
	_ caddyfile.Unmarshaler = (*KeysFile)(nil)
	_ KeyModule             = (*KeysFile)(nil)
	_ authserver.Rereader   = (*KeysFile)(nil)
)
