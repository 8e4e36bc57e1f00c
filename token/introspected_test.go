package token_test

import (
	"errors"
	"strings"
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

// What a JWT is bound to, and when it ends, its issuer has signed. An answer may bind it
// to more and end it sooner; it takes nothing back.
func TestIntrospectedJWTKeepsItsBounds(t *testing.T) {
	key, other, certificate := strings.Repeat("A", 42)+"E", strings.Repeat("B", 42)+"E", strings.Repeat("C", 42)+"E"
	read := func(text string) token.Claims {
		t.Helper()
		claims, err := token.ParseClaims([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return claims
	}
	bound := func(text string) token.Confirmation {
		t.Helper()
		confirmation, err := token.ParseConfirmation(read(`{"cnf":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return confirmation
	}
	const signed = `{"iss":"https://idp.example.com","exp":2000000000,"cnf":`
	for name, test := range map[string]struct {
		jwt, answer string
		want        string // "" for a refusal
		ends        int64
	}{
		"nothing said": {`{"jkt":"` + key + `"}`, `{"active":true}`, `{"jkt":"` + key + `"}`, 2000000000},
		"the same":     {`{"jkt":"` + key + `"}`, `{"active":true,"cnf":{"jkt":"` + key + `"}}`, `{"jkt":"` + key + `"}`, 2000000000},
		"another key":  {`{"jkt":"` + key + `"}`, `{"active":true,"cnf":{"jkt":"` + other + `"}}`, "", 0},
		"another certificate": {
			`{"x5t#S256":"` + certificate + `"}`, `{"active":true,"cnf":{"x5t#S256":"` + other + `"}}`, "", 0,
		},
		"a certificate too": {
			`{"jkt":"` + key + `"}`, `{"active":true,"cnf":{"x5t#S256":"` + certificate + `"}}`,
			`{"jkt":"` + key + `","x5t#S256":"` + certificate + `"}`, 2000000000,
		},
		"null":   {`{"jkt":"` + key + `"}`, `{"active":true,"cnf":null}`, "", 0},
		"sooner": {`{"jkt":"` + key + `"}`, `{"active":true,"exp":1900000000}`, `{"jkt":"` + key + `"}`, 1900000000},
		"later":  {`{"jkt":"` + key + `"}`, `{"active":true,"exp":2100000000}`, `{"jkt":"` + key + `"}`, 2000000000},
	} {
		t.Run(name, func(t *testing.T) {
			jwt := &token.Token{
				Issuer: "https://idp.example.com", Claims: read(signed + test.jwt + `}`),
				Confirmation: bound(test.jwt), Expiry: time.Unix(2_000_000_000, 0),
			}
			found, err := token.Introspected(token.Introspection{Issuer: jwt.Issuer, JWT: jwt, Claims: read(test.answer)})
			if test.want == "" {
				if !errors.Is(err, token.BadClaim) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || found.Confirmation != bound(test.want) || found.Expiry.Unix() != test.ends {
				t.Errorf("%+v, %v", found, err)
			}
		})
	}
}
