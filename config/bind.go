package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The ways to bind an upstream's token to a key of the gateway's.
const (
	// BindDPoP binds it by DPoP (RFC 9449).
	BindDPoP = "dpop"
	// BindMTLS binds it to a client certificate (RFC 8705, section 3).
	BindMTLS = "mtls"
)

// Bind says which key of the gateway's an upstream's token is bound to, so that it
// is no good to whoever steals it. In JSON it may be the kind alone, as a string.
type Bind struct {
	// What binds it. `dpop` proves a key of the gateway's to the server and, with each
	// request, to the upstream (RFC 9449): the upstream's reverse_proxy needs
	// `transport gatehouse`. `mtls` shows a certificate to the server, and the token
	// is good only over a connection that shows the same one (RFC 8705): the
	// upstream's reverse_proxy needs it as `tls_client_auth`. Required.
	Kind string `json:"kind,omitempty"`

	// The PEM file with the certificate of `mtls`, and its chain behind it, read again
	// when it changes. Default: the certificate of the client.
	Certificate string `json:"certificate,omitempty"`

	// The PEM file with the certificate's private key, read again when it changes.
	// Required with `certificate`.
	Key string `json:"key,omitempty"`
}

// BindKind returns how the upstream's token is bound, "" for a bearer token.
func (e *Exchange) BindKind() string {
	if e.Bind == nil {
		return ""
	}
	return e.Bind.Kind
}

// UnmarshalJSON reads an object, or the kind alone.
func (b *Bind) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &b.Kind)
	}
	type plain Bind
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields() // as Caddy does for all that surrounds it
	return decoder.Decode((*plain)(b))
}

func (e *Exchange) readBind(d *caddyfile.Dispenser) error {
	e.Bind = new(Bind)
	if err := readOne(&e.Bind.Kind)(d); err != nil {
		return err
	}
	if e.Bind.Kind != BindMTLS || d.CountRemainingArgs() == 0 {
		return nil
	}
	if err := readOne(&e.Bind.Certificate)(d); err != nil {
		return err
	}
	if d.CountRemainingArgs() == 0 {
		return errBindFiles
	}
	return readOne(&e.Bind.Key)(d)
}

func (b *Bind) settings() []setting {
	if b == nil {
		return nil
	}
	return slices.Concat(
		one("bind", &b.Kind, checkOneOf("binding", BindDPoP, BindMTLS)),
		one("bind", &b.Certificate, checkText),
		one("bind", &b.Key, checkText),
	)
}

var errBindFiles = errors.New("the key file is missing: write bind mtls <cert file> <key file>")

// contradiction finds what JSON alone can say: the Caddyfile has no such lines.
func (b *Bind) contradiction() error {
	switch {
	case b == nil:
		return nil
	case b.Kind == "":
		return errors.New("bind: the kind is missing: write bind dpop or bind mtls")
	case b.Kind == BindDPoP && (b.Certificate != "" || b.Key != ""):
		return errors.New("bind: dpop makes its own key: leave the files out, or write bind mtls")
	case (b.Certificate == "") != (b.Key == ""):
		return errors.New("bind: one of two files is missing: write bind mtls <cert file> <key file>")
	}
	return nil
}

// bindWritten is what bind does not go together with.
type bindWritten struct{ *Exchange }

func (b bindWritten) contradiction() error {
	if err := b.Bind.contradiction(); err != nil {
		return err
	}
	legs := b.Legs()
	switch {
	case b.BindKind() != BindDPoP:
		return nil // the token is a bearer token by its type (RFC 8705, section 3)
	case b.Inject != nil:
		return errors.New("bind and inject exclude each other: a bound token goes into Authorization with the scheme DPoP (RFC 9449, section 7.1)")
	case len(legs[len(legs)-1].accept().TokenType) > 0:
		return errors.New("bind and accept: token_type exclude each other: nothing but a DPoP token may come back")
	}
	return nil
}

// bindLinks finds a certificate that cannot be shown by the client that asks for the
// token, which is known with all blocks alone.
func (e *Exchange) bindLinks(g *Gatehouse) error {
	if e.BindKind() != BindMTLS {
		return nil
	}
	legs := e.Legs()
	name := legs[len(legs)-1].Client
	client := g.Clients[name]
	own := client.Certificate
	switch {
	case e.Bind.Certificate == "" && own == nil:
		return fmt.Errorf("bind: mtls has no certificate to show, and neither has %s: write bind mtls <cert file> <key file>",
			client.Label(name))
	case strings.HasPrefix(client.TokenEndpoint, "http:"):
		return fmt.Errorf("bind: mtls needs TLS, and the token_endpoint of %s is plain http", client.Label(name))
	case e.Bind.Certificate == "" || client.AuthMethod() != AuthTLS:
		return nil
	case *own != ClientCertificate{Certificate: e.Bind.Certificate, Key: e.Bind.Key}:
		return fmt.Errorf("bind: mtls shows another certificate than the one that %s proves itself by, "+
			"and a connection shows one: leave the files out", client.Label(name))
	}
	return nil
}
