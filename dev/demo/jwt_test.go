package demo

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func jwt(header, claims string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(header)) + "." + part([]byte(claims)) + ".c2lnbmF0dXJl"
}

func TestDecodeJWT(t *testing.T) {
	const header = `{"kid":"k1","alg":"ES256"}`
	tests := map[string]struct {
		raw  string
		want JWT
	}{
		"all claims": {
			jwt(header, `{"iss":"i","sub":"alice","client_id":"web","aud":["a","b"],"scope":"x y","jti":"j","iat":100,"exp":400}`),
			JWT{
				KeyID: "k1", Issuer: "i", Subject: "alice", Client: "web", ID: "j", Audience: []string{"a", "b"}, Scope: []string{"x", "y"},
				IssuedAt: time.Unix(100, 0), Expires: time.Unix(400, 0),
			},
		},
		"one audience, no scope": {
			jwt(header, `{"aud":"a"}`),
			JWT{KeyID: "k1", Audience: []string{"a"}, Scope: []string{}, IssuedAt: time.Unix(0, 0), Expires: time.Unix(0, 0)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := DecodeJWT(test.raw)
			if err != nil {
				t.Fatal(err)
			}
			test.want.Raw = test.raw
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if got.Signature() != "c2lnbmF0dXJl" {
				t.Errorf("signature %q", got.Signature())
			}
		})
	}
}

func TestDecodeJWTRefuses(t *testing.T) {
	for name, raw := range map[string]string{
		"empty": "", "two parts": "a.b", "five parts": "a.b.c.d.e", "no base64": "!.e30.x", "no JSON": jwt(`{}`, `x`), "an audience of numbers": jwt(`{}`, `{"aud":1}`),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := DecodeJWT(raw); !errors.Is(err, errNoJWT) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestSideBySide(t *testing.T) {
	a := JWT{
		Issuer: "i", Subject: "alice", Client: "web", Audience: []string{"api"}, Scope: []string{"x", "y"}, ID: "ABCDEFGHIJKLMNOP",
		IssuedAt: time.Unix(0, 0), Expires: time.Unix(300, 0),
	}
	b := a
	b.Client, b.Audience, b.ID, b.Expires = "gateway", []string{"orders", "more"}, "Z", time.Unix(90, 0)
	want := []Row{
		{"issuer", "i", "i"},
		{"subject", "alice", "alice"},
		{"client", "web", "gateway"},
		{"audience", "api", "orders more"},
		{"scope", "x y", "x y"},
		{"lifetime", "5m0s", "1m30s"},
		{"jti", "ABCDEFGHIJ…", "Z"},
	}
	if diff := cmp.Diff(want, sideBySide(a, b)); diff != "" {
		t.Error(diff)
	}
}

func TestNarrowed(t *testing.T) {
	caller := JWT{Issuer: "i", Subject: "alice", Client: "web", Audience: []string{"api"}, Scope: []string{"openid", "orders:read"}, ID: "1", Expires: time.Unix(300, 0)}
	good := JWT{Issuer: "i", Subject: "alice", Client: "gateway", Audience: []string{"orders"}, Scope: []string{"orders:read"}, ID: "2", Expires: time.Unix(300, 0)}
	tests := map[string]struct {
		change func(*JWT)
		want   bool
	}{
		"as it should be":  {func(*JWT) {}, true},
		"lives longer":     {func(j *JWT) { j.Expires = time.Unix(301, 0) }, false},
		"another issuer":   {func(j *JWT) { j.Issuer = "x" }, false},
		"another subject":  {func(j *JWT) { j.Subject = "bob" }, false},
		"the same client":  {func(j *JWT) { j.Client = "web" }, false},
		"a wider audience": {func(j *JWT) { j.Audience = []string{"orders", "api"} }, false},
		"a wider scope":    {func(j *JWT) { j.Scope = []string{"orders:read", "openid"} }, false},
		"the same token":   {func(j *JWT) { *j = caller }, false},
		"the same jti":     {func(j *JWT) { j.ID = "1" }, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			changed := good
			test.change(&changed)
			if got := narrowed(caller, changed); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestReceivedToken(t *testing.T) {
	raw := jwt(`{}`, `{"sub":"alice"}`)
	echo := func(authorization string) Answer {
		return Answer{Status: http.StatusOK, Body: `{"headers":{"Authorization":[` + authorization + `]}}`}
	}
	if got, err := receivedToken(echo(`"Bearer ` + raw + `"`)); err != nil || got.Subject != "alice" {
		t.Errorf("%v, %v", got, err)
	}
	for name, answer := range map[string]Answer{
		"no header":   {Status: http.StatusOK, Body: `{"headers":{}}`},
		"two":         echo(`"Bearer ` + raw + `","Bearer ` + raw + `"`),
		"no bearer":   echo(`"Basic eA=="`),
		"a refusal":   {Status: http.StatusForbidden, Body: `{"status":403}`},
		"no echo":     {Status: http.StatusOK, Body: `hello`},
		"not a token": echo(`"Bearer opaque"`),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := receivedToken(answer); err == nil || strings.Contains(err.Error(), raw) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
