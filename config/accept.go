package config

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/exchange"
)

// Accept says which answers of an authorization server are good.
type Accept struct {
	// The values of `issued_token_type` to accept: `access_token`, `id_token`, `jwt`
	// or absolute URIs. Grant `token_exchange` only. Default: the requested type,
	// else an access token or a JWT.
	IssuedType []string `json:"issued_type,omitempty"`

	// The values of `token_type` to accept, in any case. Default: `Bearer`, and
	// `N_A` where another request follows.
	TokenType []string `json:"token_type,omitempty"`

	// Whether the token may have scope that was not asked for. Default: false.
	WiderScope bool `json:"wider_scope,omitempty"`

	// The issuer, by name or URL, that the token must be from: its signature, issuer,
	// audience, times and subject are then verified. The subject must be the
	// caller's if the caller's token is from the same issuer. Default: the token
	// is not verified.
	Verify string `json:"verify,omitempty"`
}

// The grammar of accept:
//
//	accept {
//		issued_type <type...>
//		token_type  <type...>
//		wider_scope
//		verify      <issuer>
//	}
func (a *Accept) options() []option {
	return []option{
		{word: "issued_type", read: readList(&a.IssuedType)},
		{word: "token_type", read: readList(&a.TokenType)},
		{word: "wider_scope", read: readFlag(&a.WiderScope)},
		{word: "verify", read: readOne(&a.Verify)},
	}
}

func (a *Accept) settings() []setting {
	return slices.Concat(
		list("issued_type", a.IssuedType, checkTokenKind),
		list("token_type", a.TokenType, checkScheme),
		one("verify", &a.Verify, checkRef),
	)
}

func (a *Accept) contradiction() error {
	if slices.ContainsFunc(a.TokenType, func(kind string) bool { return strings.EqualFold(kind, "DPoP") }) {
		return errors.New("token_type: a DPoP token needs a proof with each request, which bind dpop alone makes: write that instead")
	}
	return nil
}

func (a *Accept) missing() error {
	if len(a.IssuedType) == 0 && len(a.TokenType) == 0 && !a.WiderScope && a.Verify == "" {
		return errors.New("the block is empty: write an option in it, or leave it out")
	}
	return nil
}

func (e *Exchange) readAccept(d *caddyfile.Dispenser) error {
	if !opensBlock(d) {
		return errors.New("it needs a block in braces with issued_type, token_type, wider_scope or verify")
	}
	e.Accept = new(Accept)
	return readBlock(d, "accept", e.Accept)
}

// checkTokenKind accepts the type of a token.
func checkTokenKind(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	_, err := exchange.ParseTokenType(text)
	return err
}
