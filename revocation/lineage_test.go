package revocation

import (
	"bytes"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// introspected is a token that was read, with a number of its own.
func introspected(t *testing.T, raw token.Raw, claims string) *token.Token {
	t.Helper()
	parsed, err := token.ParseClaims([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	read, err := token.Introspected(token.Introspection{Issuer: idpURL, Claims: parsed, Digest: raw.Digest(), Essence: raw.Essence()})
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// What is remembered of a token is what would be made of it, and never of another one: be
// it of the same text, of which its issuer says something else by now.
func TestLineage(t *testing.T) {
	state := NewState(store.NewMemory(0))
	lineage := state.Lineage()
	raw := token.NewRaw("opaque")
	alice := introspected(t, raw, `{"active":true,"sub":"alice","jti":"id-1","exp":9999999999}`)
	bob := introspected(t, raw, `{"active":true,"sub":"bob","jti":"id-1","exp":9999999999}`)
	unread := &token.Token{Issuer: idpURL, Subject: "carol", Digest: raw.Digest()}
	for range 2 {
		for _, subject := range []*token.Token{alice, alice, bob, bob, unread, alice} {
			for _, actor := range []*token.Token{nil, bob} {
				facts := state.FactsOf(subject)
				want := TagsOf(&facts)
				if actor != nil {
					acts := state.FactsOf(actor)
					want = want.Join(&acts)
				}
				if got := lineage.Of(subject, actor); !bytes.Equal(got, want) {
					t.Errorf("derived from %s: %x, want %x", subject.Subject, got, want)
				}
			}
		}
		// From now on a token may say itself what it was derived from.
		before := TagsOf(&callersFacts)
		t.Cleanup(state.ReadOrigins(idpURL, func(*token.Token) []byte { return before }))
	}
}
