package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// shown are placeholders by the name of the header that shows them.
var shown = map[string]string{
	"Id": "id", "Subject": "subject", "Issuer": "issuer", "Client": "client", "Scope": "scope", "Audience": "audience",
	"Jti": "jti", "Exp": "exp", "Acr": "acr", "Actor": "actor", "Unknown": "no_such_field",
	"Text": "claim.text", "Number": "claim.number", "True": "claim.yes", "Null": "claim.null",
	"Object": "claim.object", "List": "claim.list", "Blanks": "claim.blanks", "Mixed": "claim.mixed",
	"Control": "claim.control", "Control-List": "claim.control_list",
	"Nested": "claim.realm_access.roles", "Whole": "claim.https://app.example/roles", "Dotted": "claim.dotted.name",
	"Pointer": "claim./realm_access/roles/1", "Escaped": "claim./a~1b", "Absent": "claim.absent",
	"Has-Text": "has.text", "Has-Null": "has.null", "Has-Absent": "has.absent",
	"Has-Nested": "has.realm_access.roles", "Has-Past": "has.text.deeper",
}

// caddyfileOf writes the routes that show every placeholder.
func caddyfileOf(shown map[string]string) string {
	var headers, responses strings.Builder
	for name, placeholder := range shown {
		fmt.Fprintf(&headers, "\t\t\theader_up X-%s \"{http.auth.user.%s}\"\n", name, placeholder)
		fmt.Fprintf(&responses, "\thandle /respond/%s {\n\t\trespond \"{http.auth.user.%s}|{http.auth.error}\"\n\t}\n", name, placeholder)
	}
	return "$SITE {\n\tlog\n\ttoken_auth $IDP {\n\t\taudience any\n\t}\n" +
		"\thandle /up/* {\n\t\treverse_proxy $UPSTREAM {\n" + headers.String() + "\t\t}\n\t}\n" + responses.String() +
		"\thandle /vars {\n\t\tvars who {http.auth.user.id}\n\t\trespond {vars.who}\n\t}\n" +
		"\thandle {\n\t\trespond {http.auth.user.id}\n\t}\n" +
		"\thandle_errors {\n\t\treverse_proxy $UPSTREAM {\n" + headers.String() + "\t\t}\n\t}\n}\n"
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, caddyfileOf(shown), "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	exp := time.Now().Add(time.Minute).Unix()

	tests := map[string]struct {
		claims map[string]any
		want   map[string]string
	}{
		"everything": {
			claims: map[string]any{
				"sub": "alice", "client_id": "app", "scope": "a b", "aud": []string{"one", "two"}, "jti": "j", "exp": exp,
				"acr": "2", "act": map[string]any{"sub": "robot"}, "text": "some text", "number": 1e3, "yes": true, "null": nil,
				"object": map[string]any{"b": 1, "a": "x"}, "list": []string{"p", "q"}, "blanks": []string{"p q", "r"},
				"mixed": []any{"p", 1}, "control": "x\r\nX-Evil: 1\x00\u0085y", "control_list": []string{"p\n", "q"},
				"realm_access": map[string]any{"roles": []string{"r1", "r2"}}, "https://app.example/roles": []string{"whole"},
				"dotted.name": "first", "dotted": map[string]any{"name": "second"}, "a/b": "escaped",
			},
			want: map[string]string{
				"Id": "alice", "Subject": "alice", "Issuer": idp.URL, "Client": "app", "Scope": "a b", "Audience": "one two",
				"Jti": "j", "Exp": fmt.Sprint(exp), "Acr": "2", "Actor": "robot", "Unknown": "",
				"Text": "some text", "Number": "1000", "True": "true", "Null": "",
				"Object": `{"a":"x","b":1}`, "List": "p q", "Blanks": `["p q","r"]`, "Mixed": `["p",1]`,
				"Control": "x  X-Evil: 1  y", "Control-List": `["p\n","q"]`,
				"Nested": "r1 r2", "Whole": "whole", "Dotted": "first", "Pointer": "r2", "Escaped": "escaped", "Absent": "",
				"Has-Text": "true", "Has-Null": "true", "Has-Absent": "false", "Has-Nested": "true", "Has-Past": "false",
			},
		},
		"as little as can be": {
			claims: map[string]any{"sub": nil, "client_id": nil, "scope": nil, "jti": nil, "aud": "one", "exp": exp},
			want: map[string]string{
				"Issuer": idp.URL, "Audience": "one", "Exp": fmt.Sprint(exp),
				"Has-Text": "false", "Has-Null": "false", "Has-Absent": "false", "Has-Nested": "false", "Has-Past": "false",
			},
		},
		"client by azp, scope by scp": {
			claims: map[string]any{"client_id": nil, "azp": "other", "scope": nil, "scp": []string{"c", "d"}, "exp": exp},
			want: map[string]string{
				"Id": "alice", "Subject": "alice", "Jti": "id-1", "Issuer": idp.URL, "Audience": "https://api.example.com",
				"Exp": fmt.Sprint(exp), "Client": "other", "Scope": "c d",
				"Has-Text": "false", "Has-Null": "false", "Has-Absent": "false", "Has-Nested": "false", "Has-Past": "false",
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for key := range shown {
				if _, ok := test.want[key]; !ok {
					test.want[key] = ""
				}
			}
			token := idp.Key.Sign(nil, claimsWithNull(idp, test.claims))
			gateway.Get("/up/1", token).Expect(t, http.StatusOK)
			if diff := cmp.Diff(test.want, shownIn(upstream.Last(t).Header)); diff != "" {
				t.Errorf("what the upstream is shown (-want +got):\n%s", diff)
			}
			for header, want := range test.want {
				if got := gateway.Get("/respond/"+header, token); got.Body != want+"|" {
					t.Errorf("{http.auth.user.%s} in respond: %q, want %q", shown[header], got.Body, want)
				}
			}
			if got := gateway.Get("/vars", token); got.Body != test.want["Id"] {
				t.Errorf("in vars: %q", got.Body)
			}
		})
	}

	t.Run("nobody", func(t *testing.T) {
		gateway.Get("/", "").Expect(t, http.StatusOK) // by the upstream of the error routes
		for header, value := range shownIn(upstream.Last(t).Header) {
			if want := map[bool]string{true: "false"}[strings.HasPrefix(header, "Has-")]; value != want {
				t.Errorf("{http.auth.user.%s} of nobody is %q, want %q", shown[header], value, want)
			}
		}
	})
	t.Run("access log", func(t *testing.T) {
		harness.Eventually(t, "the access log names the caller", func() bool {
			for _, line := range gateway.Lines("handled request") {
				if line["user_id"] == "alice" {
					return true
				}
			}
			return false
		})
	})
}

// claimsWithNull are the issuer's claims with changes, where the claim null is
// one that says null.
func claimsWithNull(idp *harness.AuthServer, changes map[string]any) map[string]any {
	claims := idp.Claims(changes)
	if _, ok := changes["null"]; ok {
		claims["null"] = nil
	}
	return claims
}

func shownIn(header http.Header) map[string]string {
	values := make(map[string]string)
	for name := range shown {
		values[name] = strings.Join(header.Values("X-"+name), "|")
	}
	return values
}

// With several issuers a subject alone names nobody.
func TestUserIDNamesItsIssuer(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	folder := t.TempDir()
	write(t, filepath.Join(folder, "set.json"), tokentest.Set(idp.Key))
	openID(idp, "/inline", "/t1", "/t2")
	gateway := harness.Start(t, `{
	gatehouse {
		issuer named https://named.example.com {
			audience any
			jwks $DIR/set.json
		}
		issuer tenants $IDP/t1 $IDP/t2 {
			audience any
		}
	}
}
$SITE {
	token_auth named tenants $IDP/inline {
		audience any
	}
	respond "{http.auth.user.id} {http.auth.user.subject}"
}
`, "$IDP", idp.URL, "$DIR", folder)

	tests := map[string]string{
		"https://named.example.com": "named/alice",
		idp.URL + "/t1":             idp.URL + "/t1#alice",
		idp.URL + "/t2":             idp.URL + "/t2#alice",
		idp.URL + "/inline":         idp.URL + "/inline#alice",
	}
	for issuer, want := range tests {
		got := gateway.Await("/", idp.Token(map[string]any{"iss": issuer}), http.StatusOK)
		if got.Body != want+" alice" {
			t.Errorf("a user of %s: %q, want %q", issuer, got.Body, want+" alice")
		}
		if got := gateway.Get("/", idp.Token(map[string]any{"iss": issuer, "sub": nil})); got.Body != " " {
			t.Errorf("nobody of %s: %q", issuer, got.Body)
		}
	}
}

// openID publishes OpenID metadata of issuers at these paths, all with the
// server's own keys.
func openID(idp *harness.AuthServer, paths ...string) {
	for _, path := range paths {
		idp.Handle(path+"/.well-known/openid-configuration", document(map[string]any{
			"issuer": idp.URL + path, "jwks_uri": idp.URL + "/jwks", "token_endpoint": idp.URL + "/token",
		}))
	}
}

func document(members map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(tokentest.JSON(members)) }
}

func write(tb testing.TB, file string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		tb.Fatal(err)
	}
}
