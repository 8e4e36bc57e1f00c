package token_test

import (
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// What an issuer says about a JWT lies over what the JWT says itself; the key that
// signed it is nobody's to say. Revocations by key and session find it all the same.
func TestIntrospectedJWTKeepsItsKey(t *testing.T) {
	claims := func(text string) token.Claims {
		t.Helper()
		read, err := token.ParseClaims([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return read
	}
	jwt := &token.Token{KeyID: "k1", Claims: claims(`{"iss":"https://idp.example.com","sub":"alice","sid":"s1","exp":4102444800}`)}
	said := token.Introspection{
		Issuer: "https://idp.example.com", Until: time.Now().Add(time.Minute), JWT: jwt,
		Claims: claims(`{"active":true,"sub":"alice","kid":"k2"}`),
	}
	found, err := token.Introspected(said)
	if err != nil {
		t.Fatal(err)
	}
	if session, _ := found.Claims.Text("sid"); found.KeyID != "k1" || session != "s1" {
		t.Errorf("key %q, session %q", found.KeyID, session)
	}
	said.JWT = nil
	if found, err = token.Introspected(said); err != nil || found.KeyID != "" {
		t.Errorf("an opaque token: key %q, %v", found.KeyID, err)
	}
}
