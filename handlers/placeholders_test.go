package handlers

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestClaimText(t *testing.T) {
	tests := map[string]struct {
		value any
		want  string
	}{
		"nothing":                  {nil, ""},
		"text":                     {"some text", "some text"},
		"text with control":        {"a\r\nb\x00c\x7fd\u0085e", "a  b c d e"},
		"number":                   {json.Number("1e400"), "1e400"},
		"boolean":                  {true, "true"},
		"list":                     {[]any{"a", "b"}, "a b"},
		"empty list":               {[]any{}, ""},
		"list with a blank":        {[]any{"a b", "c"}, `["a b","c"]`},
		"list with a line break":   {[]any{"a\nb"}, `["a\nb"]`},
		"list with a C1 control":   {[]any{"a\u0085b"}, "[\"a b\"]"},
		"list of mixed kinds":      {[]any{"a", json.Number("1"), true, nil}, `["a",1,true,null]`},
		"list of lists":            {[]any{[]any{"a"}}, `[["a"]]`},
		"object":                   {map[string]any{"b": "x\ny", "a": json.Number("12345678901234567890")}, `{"a":12345678901234567890,"b":"x\ny"}`},
		"text that looks like one": {`{http.request.header.Cookie}`, `{http.request.header.Cookie}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := claimText(test.value); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// FuzzClaimText holds that no claim becomes more than one line.
func FuzzClaimText(f *testing.F) {
	f.Add("a\r\nb", "c d")
	f.Add("", "\u2028\u0085")
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, value := range []any{first, []any{first, second}, map[string]any{first: second}, []any{map[string]any{first: []any{second}}}} {
			got := claimText(value)
			if strings.ContainsFunc(got, isControl) {
				t.Errorf("%q became %q", value, got)
			}
			if utf8.ValidString(first) && utf8.ValidString(second) && !utf8.ValidString(got) {
				t.Errorf("%q became broken text", value)
			}
		}
	})
}

func TestPlaceholdersAreKnownWithoutCaller(t *testing.T) {
	nobody := &caller{errorCode: "invalid_token"}
	tests := map[string]struct {
		want  any
		known bool
	}{
		"http.auth.user.id":            {"", true},
		"http.auth.user.subject":       {"", true},
		"http.auth.user.claim.a":       {"", true},
		"http.auth.user.has.a":         {"false", true},
		"http.auth.user.has.":          {"false", true},
		"http.auth.user.":              {"", true},
		"http.auth.user.token":         {"", true},
		"http.auth.error":              {"invalid_token", true},
		"http.auth.errors":             {nil, false},
		"http.auth.user":               {nil, false},
		"http.request.header.X":        {nil, false},
		"http.auth.users.id":           {nil, false},
		"xhttp.auth.user.claim.secret": {nil, false},
	}
	for key, test := range tests {
		if got, known := nobody.placeholder(key); got != test.want || known != test.known {
			t.Errorf("%s is %v, %t; want %v, %t", key, got, known, test.want, test.known)
		}
	}
}

// Whoever decides by a placeholder decides by no former actor (RFC 8693, section 4.1).
func TestPlaceholdersHoldNoFormerActor(t *testing.T) {
	claims, err := token.ParseClaims([]byte(`{"act":{"sub":"current","act":{"sub":"former"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	who := &caller{token: &token.Token{Claims: claims}}
	for name, want := range map[string]string{
		"claim.act": `{"sub":"current"}`, "claim./act": `{"sub":"current"}`, "claim.act.sub": "current", "has.act": "true", "has.act.sub": "true",
		"claim.act.act": "", "claim./act/act": "", "claim.act.act.sub": "", "claim./act/act/sub": "",
		"has.act.act": "false", "has./act/act": "false", "has.act.act.sub": "false",
	} {
		if got, _ := who.placeholder("http.auth.user." + name); got != want {
			t.Errorf("{http.auth.user.%s} is %q, want %q", name, got, want)
		}
	}
}

// No placeholder holds a token, under whatever name one asks.
func TestNoPlaceholderHoldsTheToken(t *testing.T) {
	const secret = "canary.raw.token"
	claims, err := token.ParseClaims([]byte(`{"sub":"alice"}`))
	if err != nil {
		t.Fatal(err)
	}
	who := &caller{found: token.Credential{Raw: token.NewRaw(secret)}, token: &token.Token{Claims: claims}}
	who.auth = &TokenAuth{app: trustsOne{}}
	for _, name := range []string{
		"id", "subject", "issuer", "client", "scope", "audience", "jti", "exp", "acr", "actor", "raw", "token", "access_token",
		"claim.", "claim./", "claim.sub", "claim./sub", "has.sub", "digest", "",
	} {
		if got, _ := who.placeholder("http.auth.user." + name); strings.Contains(got.(string), "canary") {
			t.Errorf("{http.auth.user.%s} is %q", name, got)
		}
	}
}

// trustsOne are the services of a configuration with one issuer.
type trustsOne struct{ Services }

func (trustsOne) TrustsMany() bool { return false }
