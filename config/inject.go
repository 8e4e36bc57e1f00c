package config

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Inject says in which request header the upstream finds its token.
type Inject struct {
	// The name of the header. Headers of the connection, of the message's framing
	// and of proxying are refused. Caddy's debug log hides the content of
	// Authorization, and of no other header that may be written here. Required.
	Header string `json:"header,omitempty"`

	// The authentication scheme in front of the token. Default: none, the header
	// is the token alone.
	Scheme string `json:"scheme,omitempty"`
}

// Target returns the header and the scheme, "" for none, of an upstream's token.
// A nil Inject is the default, Authorization and Bearer.
func (i *Inject) Target() (header, scheme string) {
	if i == nil {
		return "Authorization", "Bearer"
	}
	return i.Header, i.Scheme
}

func (e *Exchange) readInject(d *caddyfile.Dispenser) error {
	e.Inject = new(Inject)
	if err := readOne(&e.Inject.Header)(d); err != nil {
		return fmt.Errorf("%w: write inject <header> [<scheme>]", err)
	}
	if d.CountRemainingArgs() == 0 {
		return nil
	}
	return readOne(&e.Inject.Scheme)(d)
}

func (i *Inject) settings() []setting {
	if i == nil {
		return nil
	}
	return slices.Concat(
		one("inject", &i.Header, checkInjectHeader),
		one("inject", &i.Scheme, checkScheme),
	)
}
