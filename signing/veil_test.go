package signing_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	oldSeal = "0123456789abcdef0123456789abcdef-old"
	newSeal = "0123456789abcdef0123456789abcdef-new"
)

func newVeil(tb testing.TB, secrets ...string) *signing.Veil {
	tb.Helper()
	veil, err := signing.NewVeil(secrets)
	if err != nil {
		tb.Fatal(err)
	}
	return veil
}

// claimOf mints a token with an origin and reads it.
func mintedWith(tb testing.TB, veil *signing.Veil, origin []byte) *token.Token {
	tb.Helper()
	claims := access()
	claims.Origin = origin
	minted, err := signing.NewMinter(signing.Fixed(newSigner(tb)), own, nil).Veiled(veil).Mint(signing.AccessTokens, claims)
	if err != nil {
		tb.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(minted.Token.Reveal(), ".")[1])
	if err != nil {
		tb.Fatal(err)
	}
	read, err := token.ParseClaims(payload)
	if err != nil {
		tb.Fatal(err)
	}
	return &token.Token{Issuer: own, ID: minted.ID, Claims: read}
}

// Who has one of the secrets reads the origin, and nobody else does.
func TestVeil(t *testing.T) {
	origin := bytes.Repeat([]byte("origin--"), 6)
	for name, test := range map[string]struct {
		mint, read []string
		want       bool
	}{
		"plain":             {nil, nil, true},
		"plain, then seal":  {nil, []string{newSeal}, true},
		"seal":              {[]string{newSeal}, []string{newSeal}, true},
		"the old seal":      {[]string{oldSeal}, []string{newSeal, oldSeal}, true},
		"the coming seal":   {[]string{newSeal, oldSeal}, []string{oldSeal, newSeal}, true},
		"another seal":      {[]string{oldSeal}, []string{newSeal}, false},
		"seal, then no one": {[]string{newSeal}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := newVeil(t, test.read...).Origin(mintedWith(t, newVeil(t, test.mint...), origin))
			if (got != nil) != test.want || got != nil && !bytes.Equal(got, origin) {
				t.Errorf("read %q", got)
			}
		})
	}
}

// Two tokens of one caller have nothing in common for whoever has no secret.
func TestVeilHidesWhoIsTheSame(t *testing.T) {
	origin := bytes.Repeat([]byte{7}, 52)
	veil := newVeil(t, newSeal)
	one, _ := mintedWith(t, veil, origin).Claims.Text(signing.OriginClaim)
	other, _ := mintedWith(t, veil, origin).Claims.Text(signing.OriginClaim)
	if one == "" || one[4:] == other[4:] || len(one) > 80 {
		t.Errorf("%q and %q", one, other)
	}
}

// The origin of a token under another jti is none, and neither is what nobody wrote.
func TestVeilReadsWhatItWrote(t *testing.T) {
	veil := newVeil(t, newSeal)
	held := mintedWith(t, veil, []byte("origin"))
	held.ID = "x"
	if got := veil.Origin(held); got != nil {
		t.Errorf("read %q", got)
	}
	for _, text := range []string{"", "!", "AA", "AAA", "AgAA", strings.Repeat("A", 2000)} {
		claims, err := token.ParseClaims([]byte(`{"gho":"` + text + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := veil.Origin(&token.Token{ID: held.ID, Claims: claims}); len(got) != 0 {
			t.Errorf("%.10q is read as %q", text, got)
		}
	}
}

// Without a veil, or without an origin, a token says nothing.
func TestNoVeil(t *testing.T) {
	for _, held := range []*token.Token{mintedWith(t, nil, []byte("origin")), mintedWith(t, newVeil(t), nil)} {
		if held.Claims.Has(signing.OriginClaim) {
			t.Error("the claim is there")
		}
	}
}

// BenchmarkMintVeiled is BenchmarkMint with an origin.
func BenchmarkMintVeiled(b *testing.B) {
	minter := signing.NewMinter(signing.Fixed(newSigner(b)), own, nil).Veiled(newVeil(b, newSeal))
	claims := access()
	claims.Act, claims.Origin = map[string]any{"sub": own}, make([]byte, 52)
	for b.Loop() {
		if _, err := minter.Mint(signing.AccessTokens, claims); err != nil {
			b.Fatal(err)
		}
	}
}
