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

// What a JWT says of itself is kept where its issuer says something else, and nowhere
// else: it takes memory.
func TestIntrospectedJWTKeepsItsNames(t *testing.T) {
	issued := time.Unix(1_700_000_000, 0)
	read := func(text string) token.Claims {
		t.Helper()
		claims, err := token.ParseClaims([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return claims
	}
	jwt := &token.Token{
		Issuer: "https://idp.example.com", ID: "j1", Subject: "alice", Client: "app", IssuedAt: issued,
		Claims: read(`{"iss":"https://idp.example.com","jti":"j1","sub":"alice","sid":"s1","client_id":"app","iat":1700000000,"exp":4102444800}`),
	}
	for answer, differs := range map[string]bool{
		`{"active":true}`: false, `{"active":true,"jti":"j1","sub":"alice","sid":"s1","client_id":"app","iat":1700000000}`: false,
		`{"active":true,"scope":"read","exp":4102440000}`: false,
		`{"active":true,"jti":"j2"}`:                      true, `{"active":true,"sub":"42"}`: true, `{"active":true,"sid":"s2"}`: true,
		`{"active":true,"client_id":"other"}`: true, `{"active":true,"iat":1700000001}`: true,
	} {
		found, err := token.Introspected(token.Introspection{Issuer: jwt.Issuer, JWT: jwt, Claims: read(answer)})
		if err != nil {
			t.Fatal(err)
		}
		if (found.JWT == jwt) != differs || found.JWT != nil && found.JWT != jwt {
			t.Errorf("%s: the JWT's own names are kept: %t", answer, found.JWT != nil)
		}
	}
}
