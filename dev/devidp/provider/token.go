package provider

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// typeAccessToken is the JOSE header typ of a JWT access token (RFC 9068,
// section 2.1).
const typeAccessToken = "at+jwt"

// errToken is wrapped by every refusal of a token that was presented to us.
var errToken = errors.New("access token refused")

// Keys a token can be signed with; see Override.Key.
const (
	keyCurrent = "current"
	keyRetired = "retired"
	keyForeign = "foreign"
)

// Override bends a token that is about to be signed. The zero value changes
// nothing.
type Override struct {
	// Type replaces the header's typ; "none" leaves it out.
	Type string `json:"typ,omitempty"`
	// Algorithm "none" leaves the token unsigned (RFC 7519, section 6).
	Algorithm string `json:"alg,omitempty"`
	// Key is current (default), retired (the key before the last rotation) or
	// foreign (a fresh key that nobody knows).
	Key string `json:"key,omitempty"`
	// KeyID replaces the header's kid; "none" leaves it out.
	KeyID string `json:"kid,omitempty"`
	// Lifetime replaces the token's lifetime; negative means expired already.
	Lifetime *duration `json:"lifetime,omitempty"`
	// Claims are laid over the token's own; a null removes the claim.
	Claims map[string]any `json:"claims,omitempty"`
}

type overrideKey struct{}

// withOverride marks ctx so that a token signed under it comes out bent.
func withOverride(ctx context.Context, o *Override) context.Context {
	return context.WithValue(ctx, overrideKey{}, o)
}

func overrideFrom(ctx context.Context) Override {
	if o, ok := ctx.Value(overrideKey{}).(*Override); ok && o != nil {
		return *o
	}
	return Override{}
}

// grant is a right that was given: whose, to which client, for what.
type grant struct {
	subject  string
	clientID string
	audience []string
	scope    []string
	// notAfter caps the expiry; zero means no cap.
	notAfter time.Time
}

// accessToken mints the token of g (RFC 9068, section 2.2) and returns it with
// its lifetime.
func (p *Provider) accessToken(ctx context.Context, g grant) (string, time.Duration, error) {
	lifetime := p.settings.TokenLifetime
	if left := time.Until(g.notAfter); !g.notAfter.IsZero() && left < lifetime {
		lifetime = left
	}
	override := overrideFrom(ctx)
	if override.Lifetime != nil {
		lifetime = time.Duration(*override.Lifetime)
	}
	claims := p.userClaims(g.subject)
	maps.Copy(claims, timestamps(lifetime))
	maps.Copy(claims, map[string]any{
		"iss": p.settings.Issuer, "sub": g.subject, "client_id": g.clientID, "jti": rand.Text(),
	})
	if len(g.audience) > 0 {
		claims["aud"] = g.audience
	}
	if len(g.scope) > 0 {
		claims["scope"] = strings.Join(g.scope, " ")
	}
	token, err := p.sign(typeAccessToken, claims, override)
	return token, lifetime, err
}

// timestamps returns iat and exp. A token that is born expired was issued
// before it expired, or it would be refused for the wrong reason.
func timestamps(lifetime time.Duration) map[string]any {
	now := time.Now()
	expiry := now.Add(lifetime)
	issued := now
	if lifetime <= 0 {
		issued = expiry.Add(-time.Minute)
	}
	return map[string]any{"iat": issued.Unix(), "exp": expiry.Unix()}
}

func (p *Provider) userClaims(subject string) map[string]any {
	if user, ok := p.users[subject]; ok && user.Claims != nil {
		return maps.Clone(user.Claims)
	}
	return make(map[string]any)
}

// sign serializes claims as a compact JWS, bent by o.
func (p *Provider) sign(typ string, claims map[string]any, o Override) (string, error) {
	for name, value := range o.Claims {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	typ = orElse(o.Type, typ)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("writing claims: %w", err)
	}
	if o.Algorithm == "none" {
		return unsigned(typ, payload)
	}
	key, err := p.signingKey(o.Key)
	if err != nil {
		return "", err
	}
	return signWith(key, typ, orElse(o.KeyID, key.id), payload)
}

// orElse returns value, or fallback where value is empty, or "" where it says none.
func orElse(value, fallback string) string {
	switch value {
	case "":
		return fallback
	case "none":
		return ""
	default:
		return value
	}
}

func (p *Provider) signingKey(which string) (*signingKey, error) {
	switch which {
	case "", keyCurrent:
		return p.state.keys.current()
	case keyRetired:
		return p.state.keys.retired()
	case keyForeign:
		return newSigningKey(p.state.keys.algorithm)
	default:
		return nil, fmt.Errorf("key %q is not known; use current, retired or foreign", which)
	}
}

func signWith(key *signingKey, typ, kid string, payload []byte) (string, error) {
	options := new(jose.SignerOptions)
	if typ != "" {
		options = options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: key.algorithm, Key: jose.JSONWebKey{Key: key.private, KeyID: kid},
	}, options)
	if err != nil {
		return "", fmt.Errorf("preparing a signer: %w", err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed.CompactSerialize()
}

func unsigned(typ string, payload []byte) (string, error) {
	header := map[string]string{"alg": "none"}
	if typ != "" {
		header["typ"] = typ
	}
	head, err := json.Marshal(header)
	if err != nil {
		return "", fmt.Errorf("writing a header: %w", err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode(head) + "." + encode(payload) + ".", nil
}

// accessToken is a token of ours that passed every check.
type accessToken struct {
	id       string
	subject  string
	clientID string
	audience []string
	scope    []string
	expiry   time.Time
	claims   map[string]any
}

// live is verify for those who must not say why a token is none.
func (p *Provider) live(raw string) (*accessToken, bool) {
	token, err := p.verify(raw)
	return token, err == nil
}

// verify accepts only an access token that this provider issued, that has not
// expired and was not revoked.
func (p *Provider) verify(raw string) (*accessToken, error) {
	token, err := jwt.ParseSigned(raw, []jose.SignatureAlgorithm{p.state.keys.algorithm})
	if err != nil || len(token.Headers) != 1 {
		return nil, fmt.Errorf("%w: not a signed JWT of this provider", errToken)
	}
	header := token.Headers[0]
	// RFC 8725, section 3.11: an ID token must not pass for an access token.
	if typ, _ := header.ExtraHeaders[jose.HeaderType].(string); !strings.EqualFold(typ, typeAccessToken) {
		return nil, fmt.Errorf("%w: typ is not %s", errToken, typeAccessToken)
	}
	key, ok := p.state.keys.publicKey(header.KeyID)
	if !ok {
		return nil, fmt.Errorf("%w: unknown key", errToken)
	}
	var registered jwt.Claims
	var own struct {
		Scope    string `json:"scope"`
		ClientID string `json:"client_id"`
	}
	all := make(map[string]any)
	if err := token.Claims(key, &registered, &own, &all); err != nil {
		return nil, fmt.Errorf("%w: bad signature or claims", errToken)
	}
	if err := p.checkClaims(registered); err != nil {
		return nil, err
	}
	return &accessToken{
		id: registered.ID, subject: registered.Subject, clientID: own.ClientID,
		audience: registered.Audience, scope: strings.Fields(own.Scope),
		expiry: registered.Expiry.Time(), claims: all,
	}, nil
}

func (p *Provider) checkClaims(c jwt.Claims) error {
	switch {
	case c.Expiry == nil:
		return fmt.Errorf("%w: no exp", errToken)
	case c.ID == "" || p.state.revoked.has(c.ID):
		return fmt.Errorf("%w: revoked", errToken)
	}
	if err := c.ValidateWithLeeway(jwt.Expected{Issuer: p.settings.Issuer, Time: time.Now()}, 0); err != nil {
		return fmt.Errorf("%w: %w", errToken, err)
	}
	return nil
}
