package token_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// The thumbprints that RFC 9449, section 6.1, and RFC 8705, section 3.1, show.
const (
	exampleJKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	exampleX5T = "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"
)

func TestParseConfirmation(t *testing.T) {
	for name, test := range map[string]struct {
		claims           string
		key, certificate string // the first octets in hexadecimal
	}{
		"none":        {`{}`, "", ""},
		"key":         {`{"cnf":{"jkt":"` + exampleJKT + `"}}`, "d1970e08", ""},
		"certificate": {`{"cnf":{"x5t#S256":"` + exampleX5T + `"}}`, "", "6f070ad1"},
		"both":        {`{"cnf":{"jkt":"` + exampleJKT + `","x5t#S256":"` + exampleX5T + `"}}`, "d1970e08", "6f070ad1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := token.ParseConfirmation(parseClaims(t, test.claims))
			if err != nil {
				t.Fatal(err)
			}
			if beginning(got.Key) != test.key || beginning(got.Certificate) != test.certificate {
				t.Errorf("got %x, %x", got.Key, got.Certificate)
			}
			if got.IsZero() != (test.key == "" && test.certificate == "") {
				t.Error("IsZero is wrong")
			}
		})
	}
}

func beginning(thumb token.Thumbprint) string {
	if thumb.IsZero() {
		return ""
	}
	return hex.EncodeToString(thumb[:4])
}

func TestParseConfirmationRefuses(t *testing.T) {
	zero := strings.Repeat("A", 43)
	for name, test := range map[string]struct {
		cnf  string
		want error
	}{
		"null":              {`null`, token.BadClaim},
		"text":              {`"` + exampleJKT + `"`, token.BadClaim},
		"list":              {`[{"jkt":"` + exampleJKT + `"}]`, token.BadClaim},
		"empty":             {`{}`, token.BadClaim},
		"null thumbprint":   {`{"jkt":null}`, token.BadClaim},
		"number":            {`{"jkt":1}`, token.BadClaim},
		"empty thumbprint":  {`{"jkt":""}`, token.BadClaim},
		"zero thumbprint":   {`{"jkt":"` + zero + `"}`, token.BadClaim},
		"short":             {`{"jkt":"` + exampleJKT[1:] + `"}`, token.BadClaim},
		"long":              {`{"jkt":"` + exampleJKT + `A"}`, token.BadClaim},
		"padding":           {`{"jkt":"` + exampleJKT + `="}`, token.BadClaim},
		"line break":        {`{"jkt":"` + exampleJKT[:42] + `\n"}`, token.BadClaim},
		"standard alphabet": {`{"jkt":"` + strings.ReplaceAll(exampleJKT, "-", "+") + `"}`, token.BadClaim},
		"jwk":               {`{"jwk":{"kty":"EC"}}`, token.Bound},
		"kid":               {`{"kid":"a"}`, token.Bound},
		"SHA-1":             {`{"x5t":"a"}`, token.Bound},
		"other case":        {`{"JKT":"` + exampleJKT + `"}`, token.Bound},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := token.ParseConfirmation(parseClaims(t, `{"cnf":`+test.cnf+`}`))
			if !errors.Is(err, test.want) || !got.IsZero() {
				t.Errorf("got %+v, %v; want %v", got, err, test.want)
			}
		})
	}
	// A known member does not excuse another key, and needs no company.
	for _, other := range []string{"jwk", "jwe", "kid", "jku", "osc", "x5t", "x5c", "x5u"} {
		text := `{"cnf":{"jkt":"` + exampleJKT + `","` + other + `":"a"}}`
		if got, err := token.ParseConfirmation(parseClaims(t, text)); !errors.Is(err, token.Bound) || !got.IsZero() {
			t.Errorf("jkt and %s: %+v, %v, want Bound", other, got, err)
		}
	}
	// Keycloak's way: a member that binds to nothing (RFC 7800, section 3).
	got, err := token.ParseConfirmation(parseClaims(t, `{"cnf":{"jkt":"`+exampleJKT+`","kc-jkt-type":"DPoP"}}`))
	if err != nil || got.Key.IsZero() || !got.Certificate.IsZero() {
		t.Errorf("beside jkt, what binds to nothing: %+v, %v", got, err)
	}
	if _, err := token.ParseConfirmation(parseClaims(t, `{"cnf":{"kc-jkt-type":"DPoP"}}`)); !errors.Is(err, token.Bound) {
		t.Errorf("alone, what binds to nothing: %v, want Bound", err)
	}
}

func TestZeroThumbprintIsNothing(t *testing.T) {
	if (token.Thumbprint{}).Is(token.Thumbprint{}) {
		t.Error("an absent binding is met by an absent proof")
	}
	one := token.Thumbprint{1}
	if !one.Is(one) || one.Is(token.Thumbprint{2}) {
		t.Error("thumbprints do not compare")
	}
}
