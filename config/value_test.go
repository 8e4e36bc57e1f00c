package config

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each check, with texts that it accepts and texts that it refuses.
func TestChecks(t *testing.T) {
	tests := map[string]struct {
		check func(string) error
		good  []string
		bad   []string
	}{
		"name": {
			checkName,
			[]string{"main", "orders-v2", "a.b", "über"},
			[]string{"", "a/b", "a*", "@a", "a b", "a\tb", "{env.A}", "https://a.example.com", `a"`},
		},
		"issuer URL": {
			checkIssuerURL,
			[]string{
				"https://idp.example.com", "https://idp.example.com/", "https://idp.example.com:8443/realms/main",
				"http://localhost:8080", "http://127.0.0.1", "http://127.8.8.8:1", "http://[::1]:8080/x", "http://idp.localhost",
			},
			[]string{
				"", "idp.example.com/realms", "https://", "https:idp.example.com", "http://idp.example.com", "ftp://idp.example.com",
				"https://idp.example.com?a=b", "https://idp.example.com/?", "https://idp.example.com#a", "https://idp.example.com/#",
				"https://u@idp.example.com", "https://u:p@idp.example.com", "https://idp.example.com/a b", "https://idp.example.com:x",
				"http://localhost.example.com", "http://notlocalhost", "http://0.0.0.0", "http://10.0.0.1", "http://127.0.0.1.example.com",
				"http://[::]:80", "http://[::ffff:10.0.0.1]", "https://a.example.com\n",
			},
		},
		"URL": {
			checkURL,
			[]string{"https://idp.example.com/keys?appid=1"},
			[]string{"https://idp.example.com/keys#a", "http://idp.example.com/keys"},
		},
		"key source": {
			checkKeySource,
			[]string{"/etc/jwks.json", "jwks.json", "https://idp.example.com/keys"},
			[]string{"", "http://idp.example.com/keys", "a\nb", "file:///etc/jwks.json"},
		},
		"resource": {
			checkResource,
			[]string{"https://api.example.com/v1?a=b", "urn:example:api", "api://orders", "http://orders.internal"},
			[]string{"", "orders", "/orders", "//orders", "urn:", "https://api.example.com#a", "https://api.example.com/ a", "a:b:c#"},
		},
		"scope": {
			checkScope,
			[]string{"orders:read", "https://graph.example.com/.default", "!#[]~", "{a}"},
			[]string{"", "a b", `a"b`, `a\b`, "ä", "a\x7f", "a\n"},
		},
		"algorithm": {
			checkAlgorithm,
			[]string{"RS256", "PS512", "ES384", "EdDSA", "Ed25519"},
			[]string{"", "none", "hs256", "HS255", "rs256", "RS255"},
		},
		"path": {
			checkPath,
			[]string{"roles", "realm_access.roles", "https://app.example/roles", "/realm_access/roles", "/a~1b/c~0d", "a~b", "act", "act.sub", "/act/sub", "act.active", "/act/actor", "/act.act", "x.act.act"},
			[]string{"", "/a~", "/a~2", "a\nb", "act.act", "act.act.sub", "act.act.act.sub", "/act/act", "/act/act/sub", "/act/act/0"},
		},
		"filled text": {
			checkClosed,
			[]string{"a", "{http.auth.user.claim.act.sub}", "act.act.sub", "{http.auth.user.claim.act}.act.sub", "{http.auth.user.has.act.active}"},
			[]string{
				"", "{a", "{http.auth.user.claim.act.act.sub}", "x{http.auth.user.claim./act/act/sub}", "{http.auth.user.has.act.act}",
				"{http.auth.user.claim.a} {http.auth.user.claim.act.act.act.sub}",
			},
		},
		"inject header": {
			checkInjectHeader,
			[]string{"Authorization", "Txn-Token", "X-Token", "x_token"},
			[]string{
				"", "a b", "a:", "ä", "Host", "host", "CONNECTION", "te", "Keep-Alive", "Transfer-Encoding", "Content-Length",
				"Proxy-Authorization", "Cookie", "X-Forwarded-For", "Forwarded", "Upgrade", "Trailer", "HTTP2-Settings",
			},
		},
		"scheme": {checkScheme, []string{"Bearer", "DPoP", "X-1"}, []string{"", "a b", "a,b", "\"a\""}},
		"text":   {checkText, []string{"a", "a b", "ä"}, []string{"", "a\nb", "\x00", "a\x7f"}},
		"leeway": {checkLeeway, []string{"0s", "30s", "2m", "120s"}, []string{"", "x", "-1s", "2m1s", "1d", "30"}},
		"positive": {
			checkPositive,
			[]string{"1ns", "1s", "7d"},
			[]string{"", "x", "0s", "-1s", "5"},
		},
		"count": {
			checkCount,
			[]string{"1", "100000", "2147483647"},
			[]string{"", "0", "-1", "x", "1.5", "2147483648", "off", "99999999999999999999"},
		},
		"count or off": {checkCountOrOff, []string{"1", "off"}, []string{"", "0", "OFF", "on"}},
		"size": {
			checkSize,
			[]string{"1", "64MiB", "64 MB", "1.5kB", "1,024"},
			[]string{"", "0", "x", "-1", "64QB", "9223372036854775808", "10EiB"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for _, text := range tc.good {
				if err := tc.check(text); err != nil {
					t.Errorf("%q: refused: %v", text, err)
				}
			}
			for _, text := range tc.bad {
				if tc.check(text) == nil {
					t.Errorf("%q: accepted", text)
				}
			}
		})
	}
}

func TestUnknown(t *testing.T) {
	tests := []struct {
		word  string
		known []string
		want  string
	}{
		{"x", nil, `unknown word "x": none is declared`},
		{"mian", []string{"partner", "main"}, `unknown word "mian": did you mean main? Known: main, partner`},
		{"scop", []string{"scope"}, `unknown word "scop": did you mean scope? Known: scope`},
		{"scope", []string{"any_scope", "scopes"}, `unknown word "scope": did you mean scopes? Known: any_scope, scopes`},
		{"hs256", []string{"ES256", "HS256"}, `unknown word "hs256": did you mean HS256? Known: ES256, HS256`},
		{"a", []string{"b"}, `unknown word "a": known: b`},
		{"introspection", []string{"issuer"}, `unknown word "introspection": known: issuer`},
	}
	for _, tc := range tests {
		if got := unknown("word", tc.word, tc.known).Error(); got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestEdits(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "ab", 2}, {"ab", "ab", 0}, {"ab", "ba", 1}, {"abc", "adc", 1}, {"abc", "abcd", 1}, {"abc", "xyz", 3}}
	for _, tc := range tests {
		if got := edits(tc.a, tc.b); got != tc.want {
			t.Errorf("%q to %q: %d edits, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestQuantitiesInJSON(t *testing.T) {
	type quantities struct {
		D Duration `json:"d,omitempty"`
		C Count    `json:"c,omitempty"`
		S Size     `json:"s,omitempty"`
	}
	tests := []struct {
		in   string
		want quantities
		out  string
	}{
		{`{}`, quantities{}, `{}`},
		{`{"d":null,"c":null,"s":null}`, quantities{}, `{}`},
		{`{"d":"1m","c":"off","s":"64MiB"}`, quantities{"1m", "off", "64MiB"}, `{"d":"1m","c":"off","s":"64MiB"}`},
		{`{"d":1500000000,"c":7,"s":1024}`, quantities{"1.5s", "7", "1024"}, `{"d":"1.5s","c":7,"s":1024}`},
		{`{"d":"{env.D}","c":"{env.C}","s":"{env.S}"}`, quantities{"{env.D}", "{env.C}", "{env.S}"}, `{"d":"{env.D}","c":"{env.C}","s":"{env.S}"}`},
	}
	for _, tc := range tests {
		var got quantities
		if err := json.Unmarshal([]byte(tc.in), &got); err != nil {
			t.Errorf("%s: %v", tc.in, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.in, diff)
		}
		if out, err := json.Marshal(got); err != nil || string(out) != tc.out {
			t.Errorf("%s: written as %s, %v", tc.in, out, err)
		}
	}
	for bad, want := range map[string]string{
		`{"d":true}`: `a duration is a text such as "30s", or a whole number of nanoseconds: it is neither a text nor a number`,
		`{"d":1.5}`:  `a duration is a text such as "30s", or a whole number of nanoseconds: the number is too large, or not whole`,
		`{"c":{}}`:   "a number is written in digits, or as a text: it is neither a text nor a number",
		`{"s":[1]}`:  `a size is a text such as "64MiB", or a number of bytes: it is neither a text nor a number`,
	} {
		if err := json.Unmarshal([]byte(bad), new(quantities)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", bad, err, want)
		}
	}
}

func TestOr(t *testing.T) {
	if got := Duration("").Or(time.Second); got != time.Second {
		t.Errorf("no duration: %s", got)
	}
	if got := Duration("0s").Or(time.Second); got != 0 {
		t.Errorf("0s: %s", got)
	}
	if got := Duration("1d").Or(time.Second); got != 24*time.Hour {
		t.Errorf("1d: %s", got)
	}
	for text, want := range map[Count]int{"": 5, "7": 7, "off": 0} {
		if got := text.Or(5); got != want {
			t.Errorf("count %q: %d", string(text), got)
		}
	}
	for text, want := range map[Size]int64{"": 5, "7": 7, "1KiB": 1024, "1kB": 1000} {
		if got := text.Or(5); got != want {
			t.Errorf("size %q: %d", string(text), got)
		}
	}
	if entries, bytes := (*TokenCache)(nil).Limits(); entries != 100_000 || bytes != 64<<20 {
		t.Errorf("default limits: %d, %d", entries, bytes)
	}
	if entries, bytes := (&TokenCache{Entries: "7", Bytes: "1KiB"}).Limits(); entries != 7 || bytes != 1024 {
		t.Errorf("limits: %d, %d", entries, bytes)
	}
}

func TestSecretPrintsNothing(t *testing.T) {
	const canary = "hunter2"
	client := Client{Secrets: []Secret{canary}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, value := range []any{client, &client, client.Secrets, client.Secrets[0]} {
			if got := fmt.Sprintf(verb, value); contains(got, canary) {
				t.Errorf("%s of %T shows the secret: %s", verb, value, got)
			}
		}
	}
	if got := client.Secrets[0].LogValue().String(); contains(got, canary) {
		t.Errorf("the log shows the secret: %s", got)
	}
	if got := client.Secrets[0].Reveal(); got != canary {
		t.Errorf("revealed %q", got)
	}
}

// contains finds the text, plain or in hexadecimal.
func contains(text, part string) bool {
	return strings.Contains(text, part) || strings.Contains(text, fmt.Sprintf("%x", part))
}
