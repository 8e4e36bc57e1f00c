package demo

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// errNoJWT is wrapped when a text is no JWT.
var errNoJWT = errors.New("not a JWT")

// A JWT is what a token says, for showing. Nothing is verified here: to verify is
// the gateway's job, and the demo's is to look.
type JWT struct {
	Raw                         string
	KeyID                       string
	Issuer, Subject, Client, ID string
	Audience, Scope             []string
	IssuedAt, Expires           time.Time
}

// DecodeJWT reads a token in the compact form (RFC 7519).
func DecodeJWT(raw string) (JWT, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return JWT{}, fmt.Errorf("%w: %d parts", errNoJWT, len(parts))
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Client   string `json:"client_id"`
		Audience names  `json:"aud"`
		Scope    string `json:"scope"`
		ID       string `json:"jti"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}
	if err := errors.Join(decodePart(parts[0], &header), decodePart(parts[1], &claims)); err != nil {
		return JWT{}, err
	}
	return JWT{
		Raw: raw, KeyID: header.KeyID,
		Issuer: claims.Issuer, Subject: claims.Subject, Client: claims.Client, ID: claims.ID,
		Audience: claims.Audience, Scope: strings.Fields(claims.Scope),
		IssuedAt: time.Unix(claims.IssuedAt, 0), Expires: time.Unix(claims.Expires, 0),
	}, nil
}

func decodePart(part string, into any) error {
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoJWT, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %w", errNoJWT, err)
	}
	return nil
}

// names is a member that is one text or an array of texts, as `aud` is.
type names []string

// UnmarshalJSON implements json.Unmarshaler.
func (n *names) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*n = names{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(n))
}

// Signature is the token's last part. Where it is, the token is.
func (j JWT) Signature() string { return j.Raw[strings.LastIndexByte(j.Raw, '.')+1:] }

// sideBySide is what two tokens say, for Page.Compare.
func sideBySide(a, b JWT) []Row {
	lifetime := func(j JWT) string { return j.Expires.Sub(j.IssuedAt).String() }
	list := func(texts []string) string { return strings.Join(texts, " ") }
	return []Row{
		{"issuer", a.Issuer, b.Issuer},
		{"subject", a.Subject, b.Subject},
		{"client", a.Client, b.Client},
		{"audience", list(a.Audience), list(b.Audience)},
		{"scope", list(a.Scope), list(b.Scope)},
		{"lifetime", lifetime(a), lifetime(b)},
		{"jti", shorten(a.ID), shorten(b.ID)},
	}
}

// narrowed tells whether b is what the quickstart's gateway should have got for a.
func narrowed(a, b JWT) bool {
	return b.Issuer == a.Issuer && b.Subject == a.Subject && b.Client == "gateway" &&
		slices.Equal(b.Audience, []string{"orders"}) && slices.Equal(b.Scope, []string{"orders:read"}) &&
		b.ID != a.ID && !b.Expires.After(a.Expires)
}

// shorten shows the beginning of an identifier, enough to tell two apart.
func shorten(id string) string { return cut(id, 11) }
