package exchange

import (
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Whose issuer is asked about the token gets what is minted of its last answer: a role
// that it takes away is not in a token that is handed out after it, whatever is
// remembered of the answer before.
func TestMintFollowsTheIssuersAnswer(t *testing.T) {
	m := newMint(t, func(c *Config) { c.Local.Claims = []CopiedClaim{{"role", "role"}} })
	raw := token.NewRaw("opaque-reference")
	answered := func(answer string) Caller {
		claims, err := token.ParseClaims([]byte(answer))
		if err != nil {
			t.Fatal(err)
		}
		found, err := token.Introspected(token.Introspection{
			Issuer: testIssuer, Claims: claims, Digest: raw.Digest(), Essence: raw.Essence(), Until: m.clock.Now().Add(time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		return Caller{Raw: raw, Token: found}
	}
	const admin, user = `{"active":true,"sub":"alice","role":"admin"}`, `{"active":true,"sub":"alice","role":"user"}`
	first, claims := m.minted(answered(admin))
	if claims["role"] != "admin" {
		t.Fatalf("role %v", claims["role"])
	}
	if again, _ := m.minted(answered(admin)); again.ID != first.ID {
		t.Error("the same answer, and another token")
	}
	if _, claims := m.minted(answered(user)); claims["role"] != "user" {
		t.Errorf("the issuer took the role away, and the token says %v", claims["role"])
	}
}
