package token_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	issuerURL = "https://idp.example.com/realms/main"
	audience  = "https://api.example.com"
)

// A world is one issuer with its keys, and a verifier that trusts it.
type world struct {
	signer   *tokentest.Key
	state    *keys.State
	issuer   *token.Issuer
	cache    *token.Cache
	verifier *token.Verifier
}

func newWorld(tb testing.TB, algorithm string) *world {
	tb.Helper()
	w := &world{signer: tokentest.NewKey(tb, algorithm, "k1"), state: keys.NewState()}
	w.issuer = &token.Issuer{
		URL: issuerURL, UserPrefix: "main/", Algorithms: jose.Asymmetric(), Leeway: 30 * time.Second,
		Audience: token.Audience{Values: []string{audience}}, Keys: w.publish(tb, w.signer),
	}
	w.cache = token.NewCache(100, 1<<20)
	tb.Cleanup(w.cache.Close)
	w.verifier = token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{w.issuer}, Cache: w.cache})
	return w
}

func (w *world) publish(tb testing.TB, signers ...*tokentest.Key) *keys.Source {
	tb.Helper()
	set, err := jose.ParseKeySet(tokentest.Set(signers...))
	if err != nil {
		tb.Fatal(err)
	}
	return keys.NewStatic(issuerURL, w.state, set)
}

func (w *world) sign(header, changes map[string]any) token.Raw {
	return token.NewRaw(w.signer.Sign(header, tokentest.Claims(issuerURL, changes)))
}

func (w *world) verify(t *testing.T, raw token.Raw) (*token.Token, error) {
	t.Helper()
	verified, _, err := w.verifier.Verify(t.Context(), raw)
	return verified, err
}

func TestVerifyReadsTheToken(t *testing.T) {
	w := newWorld(t, "ES256")
	verified, err := w.verify(t, w.sign(nil, map[string]any{
		"act": map[string]any{"sub": "gateway"}, "acr": "silver", "aud": []any{"x", audience},
	}))
	if err != nil {
		t.Fatal(err)
	}
	if verified.Subject != "alice" || verified.Client != "app" || verified.Actor != "gateway" || verified.ACR != "silver" {
		t.Errorf("got %+v", verified)
	}
	if !verified.HasScope("orders:read") || verified.HasScope("orders") || !verified.HasAudience(audience) {
		t.Errorf("got scopes %v, audience %v", verified.Scopes, verified.Audience)
	}
}

func TestVerifyRefuses(t *testing.T) {
	w := newWorld(t, "ES256")
	now := time.Now().Unix()
	tests := map[string]struct {
		header, claims map[string]any
		want           token.Reason
	}{
		"another issuer":       {nil, map[string]any{"iss": "https://evil.example.com"}, token.UnknownIssuer},
		"issuer with slash":    {nil, map[string]any{"iss": issuerURL + "/"}, token.UnknownIssuer},
		"no issuer":            {nil, map[string]any{"iss": nil}, token.UnknownIssuer},
		"issuer a list":        {nil, map[string]any{"iss": []any{issuerURL}}, token.BadClaim},
		"another audience":     {nil, map[string]any{"aud": "https://api.example.com.evil"}, token.WrongAudience},
		"audience prefix":      {nil, map[string]any{"aud": "https://api.example"}, token.WrongAudience},
		"no audience":          {nil, map[string]any{"aud": nil}, token.WrongAudience},
		"empty audience":       {nil, map[string]any{"aud": []any{}}, token.WrongAudience},
		"audience a number":    {nil, map[string]any{"aud": 1}, token.BadClaim},
		"audience with number": {nil, map[string]any{"aud": []any{audience, 1}}, token.BadClaim},
		"audience null":        {nil, map[string]any{"aud": []any{nil}}, token.BadClaim},
		"expired":              {nil, map[string]any{"exp": now - 31}, token.Expired},
		"no exp":               {nil, map[string]any{"exp": nil}, token.BadClaim},
		"exp a text":           {nil, map[string]any{"exp": "9999999999"}, token.BadClaim},
		"exp too large":        {nil, map[string]any{"exp": 1e300}, token.BadClaim},
		"exp negative":         {nil, map[string]any{"exp": -1}, token.BadClaim},
		"nbf in the future":    {nil, map[string]any{"nbf": now + 60}, token.NotYetValid},
		"nbf a text":           {nil, map[string]any{"nbf": "1"}, token.BadClaim},
		"iat in the future":    {nil, map[string]any{"iat": now + 60}, token.NotYetValid},
		"sub a number":         {nil, map[string]any{"sub": 1}, token.BadClaim},
		"scope an object":      {nil, map[string]any{"scope": []any{1, map[string]any{}}}, token.BadClaim},
		"act a text":           {nil, map[string]any{"act": "x"}, token.BadClaim},
		"ID token by nonce":    {nil, map[string]any{"nonce": "n"}, token.WrongType},
		"ID token by at_hash":  {nil, map[string]any{"at_hash": "n"}, token.WrongType},
		"ID token by c_hash":   {nil, map[string]any{"c_hash": "n"}, token.WrongType},
		"ID token by typ":      {nil, map[string]any{"typ": "ID"}, token.WrongType},
		"refresh token":        {nil, map[string]any{"typ": "Refresh"}, token.WrongType},
		"security event":       {nil, map[string]any{"events": map[string]any{}}, token.WrongType},
		"logout token":         {map[string]any{"typ": "logout+jwt"}, nil, token.WrongType},
		"DPoP proof":           {map[string]any{"typ": "dpop+jwt"}, nil, token.WrongType},
		"transaction token":    {map[string]any{"typ": "txntoken+jwt"}, nil, token.WrongType},
		"bound to a key":       {nil, map[string]any{"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, token.Bound},
		"alg none":             {map[string]any{"alg": "none"}, nil, token.WrongAlgorithm},
		"alg NoNe":             {map[string]any{"alg": "NoNe"}, nil, token.WrongAlgorithm},
		"alg HS256":            {map[string]any{"alg": "HS256"}, nil, token.WrongAlgorithm},
		"alg of another key":   {map[string]any{"alg": "RS256"}, nil, token.UnknownKey},
		"kid unknown":          {map[string]any{"kid": "../../dev/null"}, nil, token.UnknownKey},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := w.verify(t, w.sign(test.header, test.claims)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if w.cache.Len() != 0 {
		t.Errorf("%d refused tokens are remembered", w.cache.Len())
	}
}

func TestVerifyAccepts(t *testing.T) {
	w := newWorld(t, "ES256")
	now := time.Now()
	tests := map[string]struct{ header, claims map[string]any }{
		"typ JWT":             {map[string]any{"typ": "JWT"}, nil},
		"typ absent":          {map[string]any{"typ": nil}, nil},
		"typ with prefix":     {map[string]any{"typ": "application/AT+JWT"}, nil},
		"no kid":              {map[string]any{"kid": nil}, nil},
		"fractions":           {nil, map[string]any{"exp": float64(now.Unix()) + 60.5}},
		"within the leeway":   {nil, map[string]any{"exp": now.Add(-20 * time.Second).Unix()}},
		"slow clock":          {nil, map[string]any{"iat": now.Add(20 * time.Second).Unix()}},
		"scp as a list":       {nil, map[string]any{"scope": nil, "scp": []any{"orders:read"}}},
		"typ claim of bearer": {nil, map[string]any{"typ": "Bearer"}},
		"embedded key":        {map[string]any{"jwk": tokentest.NewKey(t, "ES256", "evil").JWK(), "jku": "http://127.0.0.1:1/"}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := w.verify(t, w.sign(test.header, test.claims)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyRefusesForeignSignatures(t *testing.T) {
	w := newWorld(t, "ES256")
	thief := tokentest.NewKey(t, "ES256", "k1")
	claims := tokentest.Claims(issuerURL, nil)
	for name, text := range map[string]string{
		"same kid":     thief.Sign(nil, claims),
		"no kid":       thief.Sign(map[string]any{"kid": nil}, claims),
		"embedded jwk": thief.Sign(map[string]any{"jwk": thief.JWK()}, claims),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := w.verify(t, token.NewRaw(text)); !errors.Is(err, token.BadSignature) {
				t.Errorf("got %v, want BadSignature", err)
			}
		})
	}
}

func TestVerifyRefusesTamperedPayload(t *testing.T) {
	w := newWorld(t, "RS256")
	good := w.sign(nil, nil)
	if _, err := w.verify(t, good); err != nil {
		t.Fatal(err)
	}
	other := w.sign(nil, map[string]any{"sub": "root"})
	parts, others := splitToken(good), splitToken(other)
	if _, err := w.verify(t, token.NewRaw(parts[0]+"."+others[1]+"."+parts[2])); !errors.Is(err, token.BadSignature) {
		t.Errorf("got %v, want BadSignature", err)
	}
}

func TestRememberedTokenSkipsNoCheck(t *testing.T) {
	w := newWorld(t, "ES256")
	raw := w.sign(nil, nil)
	if _, err := w.verify(t, raw); err != nil {
		t.Fatal(err)
	}
	if w.cache.Len() != 1 {
		t.Fatalf("%d tokens are remembered", w.cache.Len())
	}
	at := func(now time.Time, accepted ...string) *token.Verifier {
		return token.NewVerifier(token.VerifierConfig{
			Issuers: []*token.Issuer{w.issuer}, Cache: w.cache,
			Audience: token.Audience{Values: accepted}, Now: func() time.Time { return now },
		})
	}
	if _, _, err := at(time.Now(), "another").Verify(t.Context(), raw); !errors.Is(err, token.WrongAudience) {
		t.Errorf("on a route for another audience: %v", err)
	}
	if _, _, err := at(time.Now().Add(time.Hour)).Verify(t.Context(), raw); !errors.Is(err, token.Expired) {
		t.Errorf("an hour later: %v", err)
	}
	stranger := token.NewVerifier(token.VerifierConfig{Cache: w.cache})
	if _, _, err := stranger.Verify(t.Context(), raw); !errors.Is(err, token.UnknownIssuer) {
		t.Errorf("on a route that does not trust the issuer: %v", err)
	}
	strict := *w.issuer
	strict.Algorithms = []jose.Algorithm{jose.RS256}
	verifier := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{&strict}, Cache: w.cache})
	if _, _, err := verifier.Verify(t.Context(), raw); !errors.Is(err, token.WrongAlgorithm) {
		t.Errorf("on a route without the algorithm: %v", err)
	}
}

func TestRememberedTokenDiesWithItsKey(t *testing.T) {
	w := newWorld(t, "ES256")
	raw := w.sign(nil, nil)
	if _, err := w.verify(t, raw); err != nil {
		t.Fatal(err)
	}
	w.publish(t, w.signer, tokentest.NewKey(t, "ES256", "k2"))
	if _, err := w.verify(t, raw); err != nil {
		t.Errorf("another key came along: %v", err)
	}
	w.publish(t, tokentest.NewKey(t, "ES256", "k2"))
	if _, err := w.verify(t, raw); !errors.Is(err, token.UnknownKey) {
		t.Errorf("the key is gone: %v, want UnknownKey", err)
	}
}

func TestRememberedTokensAreBounded(t *testing.T) {
	w := newWorld(t, "EdDSA")
	for i := range 300 {
		if _, err := w.verify(t, w.sign(nil, map[string]any{"jti": fmt.Sprint(i)})); err != nil {
			t.Fatal(err)
		}
	}
	w.cache.CleanUp()
	if w.cache.Len() > 100 {
		t.Errorf("%d tokens are remembered, over the bound of 100", w.cache.Len())
	}
}

func splitToken(raw token.Raw) [3]string {
	var parts [3]string
	rest := raw.Reveal()
	for i := range parts {
		end := len(rest)
		for j, c := range rest {
			if c == '.' {
				end = j
				break
			}
		}
		parts[i] = rest[:end]
		rest = rest[min(end+1, len(rest)):]
	}
	return parts
}

func FuzzVerify(f *testing.F) {
	w := newWorld(f, "ES256")
	f.Add(`{"alg":"ES256","kid":"k1"}`, string(tokentest.JSON(tokentest.Claims(issuerURL, nil))))
	f.Add(`{"alg":"ES256"}`, `{"iss":"`+issuerURL+`","aud":"`+audience+`","exp":9999999999,"act":{"sub":1}}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		// A token with a thief's signature must never pass, whatever it says.
		encode := base64.RawURLEncoding.EncodeToString
		text := encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode(make([]byte, 64))
		_, _, err := w.verifier.Verify(t.Context(), token.NewRaw(text))
		if _, ok := errors.AsType[token.Reason](err); !ok {
			t.Fatalf("got %v", err)
		}
	})
}
