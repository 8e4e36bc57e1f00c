package authserver

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

const testIssuer = "https://idp.example.com/realms/main"

func TestWellKnown(t *testing.T) {
	tests := map[string][]string{
		"https://idp.example.com": {
			"https://idp.example.com/.well-known/openid-configuration",
			"https://idp.example.com/.well-known/oauth-authorization-server",
		},
		"https://idp.example.com/": {
			"https://idp.example.com/.well-known/openid-configuration",
			"https://idp.example.com/.well-known/oauth-authorization-server",
		},
		"https://idp.example.com:8443/realms/main/": {
			"https://idp.example.com:8443/realms/main/.well-known/openid-configuration",
			"https://idp.example.com:8443/.well-known/oauth-authorization-server/realms/main",
		},
		"https://idp.example.com/a%2Fb": {
			"https://idp.example.com/a%2Fb/.well-known/openid-configuration",
			"https://idp.example.com/.well-known/oauth-authorization-server/a%2Fb",
		},
	}
	for issuer, want := range tests {
		got, err := wellKnown(issuer)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", issuer, err, diff)
		}
	}
}

func TestParseMetadata(t *testing.T) {
	const good = `{"issuer":"` + testIssuer + `","jwks_uri":"https://keys.example.com/jwks","token_endpoint":"https://idp.example.com/token","other":[1]}`
	got, err := ParseMetadata([]byte(good), testIssuer)
	want := &Metadata{Issuer: testIssuer, JWKSURI: "https://keys.example.com/jwks", TokenEndpoint: "https://idp.example.com/token"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v (-want +got):\n%s", err, diff)
	}
	got, err = ParseMetadata([]byte(`{"issuer":"`+testIssuer+`"}`), testIssuer)
	if diff := cmp.Diff(&Metadata{Issuer: testIssuer}, got); diff != "" || err != nil {
		t.Errorf("without endpoints: error %v (-want +got):\n%s", err, diff)
	}
}

func TestParseMetadataRefuses(t *testing.T) {
	with := func(member string) string { return `{"issuer":"` + testIssuer + `",` + member + `}` }
	tests := map[string]struct{ document, want string }{
		"nothing":                     {``, "strict JSON"},
		"a list":                      {`[]`, "strict JSON"},
		"something after":             {with(`"a":1`) + `{}`, "strict JSON"},
		"a member twice":              {with(`"issuer":"` + testIssuer + `"`), "strict JSON"},
		"no issuer":                   {`{}`, "its issuer is not"},
		"another issuer":              {`{"issuer":"https://evil.example.com"}`, "its issuer is not"},
		"a slash more":                {`{"issuer":"` + testIssuer + `/"}`, "its issuer is not"},
		"another case":                {`{"issuer":"` + strings.ToUpper(testIssuer) + `"}`, "its issuer is not"},
		"an issuer that is no text":   {`{"issuer":["` + testIssuer + `"]}`, "its issuer is not"},
		"plain http keys":             {with(`"jwks_uri":"http://keys.example.com/jwks"`), "jwks_uri"},
		"plain http token endpoint":   {with(`"token_endpoint":"http://idp.example.com/token"`), "token_endpoint"},
		"alias on this machine":       {with(`"mtls_endpoint_aliases":{"token_endpoint":"http://127.0.0.1/token"}`), "mtls_endpoint_aliases"},
		"introspection, plain http":   {with(`"introspection_endpoint":"http://127.0.0.1/i"`), "introspection_endpoint"},
		"an endpoint with a password": {with(`"token_endpoint":"https://canary:canary@idp.example.com/token"`), "token_endpoint"},
		"an endpoint that is no text": {with(`"token_endpoint":1`), "token_endpoint"},
		"an endpoint that is null":    {with(`"token_endpoint":null`), "token_endpoint"},
		"an endpoint that is empty":   {with(`"jwks_uri":""`), "jwks_uri"},
		"a relative endpoint":         {with(`"jwks_uri":"/jwks"`), "jwks_uri"},
		"a file":                      {with(`"jwks_uri":"file:///etc/passwd"`), "jwks_uri"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := ParseMetadata([]byte(test.document), testIssuer)
			if got != nil || !errors.Is(err, ErrMetadata) {
				t.Fatalf("got %v, %v", got, err)
			}
			if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "canary") {
				t.Errorf("the error says %q, want something about %q", text, test.want)
			}
		})
	}
}

// FuzzParseMetadata holds that what is read is the issuer's, and that no endpoint
// lies where others listen.
func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`{"issuer":"`+testIssuer+`","jwks_uri":"https://a","token_endpoint":"http://localhost/t"}`), testIssuer)
	f.Add([]byte(`{"issuer":"x","jwks_uri":"http://a"}`), "x")
	f.Add([]byte(`{"issuer":""}`), "")
	f.Add([]byte(`{"issuer":null,"issuer":"x"}`), "x")
	f.Fuzz(func(t *testing.T, document []byte, issuer string) {
		metadata, err := ParseMetadata(document, issuer)
		if err != nil {
			if metadata != nil || !errors.Is(err, ErrMetadata) {
				t.Errorf("got %v with error %v", metadata, err)
			}
			return
		}
		if metadata.Issuer != issuer {
			t.Errorf("metadata of %q for %q", metadata.Issuer, issuer)
		}
		for _, endpoint := range []string{metadata.JWKSURI, metadata.TokenEndpoint} {
			if _, err := httpx.CheckURL(endpoint); endpoint != "" && err != nil {
				t.Errorf("endpoint %q: %v", endpoint, err)
			}
		}
	})
}

// An issuer elsewhere must not send the gateway to what listens on its own
// machine alone, such as Caddy's admin endpoint.
func TestMetadataNamesNoLoopbackServiceOfOurs(t *testing.T) {
	for _, member := range []string{"jwks_uri", "token_endpoint"} {
		document := `{"issuer":"https://idp.example.com","` + member + `":"http://127.0.0.1:2019/load"}`
		if _, err := ParseMetadata([]byte(document), "https://idp.example.com"); !errors.Is(err, ErrMetadata) {
			t.Errorf("%s on loopback: %v", member, err)
		}
	}
}

// The path of a transmitter's issuer stands behind the well-known one (OpenID Shared
// Signals Framework 1.0, section 7.2.1).
func TestTransmitterWellKnown(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://tr.example.com":         "https://tr.example.com/.well-known/ssf-configuration",
		"https://tr.example.com/":        "https://tr.example.com/.well-known/ssf-configuration",
		"https://tr.example.com/issuer1": "https://tr.example.com/.well-known/ssf-configuration/issuer1",
	} {
		got, err := transmitterWellKnown(issuer)
		if diff := cmp.Diff([]string{want}, got); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", issuer, err, diff)
		}
	}
}
