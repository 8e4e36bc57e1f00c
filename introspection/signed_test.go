package introspection

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// The example of RFC 9701, section 5, at its own time. Its key is not published, so
// another one signs.
func TestRFC9701Example(t *testing.T) {
	const issuer = "https://as.example.com/"
	r := newRig(t, nil)
	client, err := authserver.NewClient(authserver.ClientOptions{
		ID: "https://rs.example.com/resource", Auth: authserver.None(), TokenEndpoint: r.issuer.URL + "/token",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	now := time.Unix(1514797893, 0)
	introspector, err := New(Config{
		Issuer: issuer, Client: client, Keys: r.keys(t), State: r.state, CacheTTL: DefaultCacheTTL, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	signed := r.key.SignRaw([]byte(`{"typ":"token-introspection+jwt","alg":"ES256","kid":"k1"}`), []byte(`{
     "iss":"https://as.example.com/",
     "aud":"https://rs.example.com/resource",
     "iat":1514797892,
     "token_introspection":
        {
           "active":true,
           "iss":"https://as.example.com/",
           "aud":"https://rs.example.com/resource",
           "iat":1514797822,
           "exp":1514797942,
           "client_id":"paiB2goo0a",
           "scope":"read write dolphin",
           "sub":"Z5O3upPC88QrAjx00dis",
           "birthdate":"1982-02-01",
           "given_name":"John",
           "family_name":"Doe",
           "jti":"t1FoCCaZd4Xv4ORJUWVUeTZfsKhW30CQCrWDDjwXy6w"
        }
   }`))
	answer := &authserver.Answer{Status: http.StatusOK, MediaType: mediaSigned, Body: []byte(signed), SentAt: now}
	found, err := introspector.read(t.Context(), answer, question{raw: token.NewRaw(goodToken)})
	if err != nil {
		t.Fatal(err)
	}
	want := &token.Token{
		Issuer: issuer, Subject: "Z5O3upPC88QrAjx00dis", Client: "paiB2goo0a", ID: "t1FoCCaZd4Xv4ORJUWVUeTZfsKhW30CQCrWDDjwXy6w",
		Audience: []string{"https://rs.example.com/resource"}, Scopes: []string{"read", "write", "dolphin"},
		Expiry: time.Unix(1514797942, 0), IssuedAt: time.Unix(1514797822, 0),
		Digest: token.NewRaw(goodToken).Digest(), Essence: token.NewRaw(goodToken).Essence(),
	}
	ignore := cmpopts.IgnoreFields(token.Token{}, "Claims", "Said")
	if diff := cmp.Diff(want, found, ignore, cmpopts.IgnoreUnexported(token.Token{})); diff != "" {
		t.Error(diff)
	}
	now = now.Add(signedSkew + time.Second)
	if _, err := introspector.read(t.Context(), answer, question{raw: token.NewRaw(goodToken)}); !errors.Is(err, token.IntrospectionUnavailable) {
		t.Errorf("played again later: %v", err)
	}
}

// A signed answer is believed if the issuer signed it, for this client, just now.
func TestSignedAnswers(t *testing.T) {
	r := newRig(t, nil)
	stranger := tokentest.NewKey(t, "ES256", "k1")
	now := time.Now()
	tests := map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"good":               {r.signed(r.key, nil, nil), nil},
		"several audiences":  {r.signed(r.key, nil, map[string]any{"aud": []string{"x", clientID}}), nil},
		"not active":         {r.signed(r.key, nil, map[string]any{"token_introspection": map[string]any{"active": false}}), token.Inactive},
		"plain all the same": {r.active(nil), nil},
		"another key":        {r.signed(stranger, nil, nil), token.IntrospectionUnavailable},
		"an access token":    {r.signed(r.key, map[string]any{"typ": "at+jwt"}, nil), token.IntrospectionUnavailable},
		"no typ":             {r.signed(r.key, map[string]any{"typ": "JWT"}, nil), token.IntrospectionUnavailable},
		"no algorithm":       {r.signed(r.key, map[string]any{"alg": "none"}, nil), token.IntrospectionUnavailable},
		"another client":     {r.signed(r.key, nil, map[string]any{"aud": "other"}), token.IntrospectionUnavailable},
		"no audience":        {r.signed(r.key, nil, map[string]any{"aud": nil}), token.IntrospectionUnavailable},
		"another issuer":     {r.signed(r.key, nil, map[string]any{"iss": "https://other.example"}), token.IntrospectionUnavailable},
		"an old answer":      {r.signed(r.key, nil, map[string]any{"iat": now.Add(-time.Hour).Unix()}), token.IntrospectionUnavailable},
		"of the future":      {r.signed(r.key, nil, map[string]any{"iat": now.Add(time.Hour).Unix()}), token.IntrospectionUnavailable},
		"no iat":             {r.signed(r.key, nil, map[string]any{"iat": nil}), token.IntrospectionUnavailable},
		"active outside":     {r.signed(r.key, nil, map[string]any{"active": true, "token_introspection": nil}), token.IntrospectionUnavailable},
		"active in quotes": {
			r.signed(r.key, nil, map[string]any{"active": true, "token_introspection": map[string]any{"active": "true"}}),
			token.IntrospectionUnavailable,
		},
		"no JWT": {raw(mediaSigned, `{"active":true}`), token.IntrospectionUnavailable},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fresh := newRig(t, func(c *Config) { c.Issuer, c.Keys = r.issuer.URL, r.keys(t) })
			fresh.answers(test.answer)
			found, err := fresh.ask(t, goodToken)
			if (test.want == nil) != (err == nil) || !errors.Is(err, test.want) {
				t.Fatalf("found %v, error %v", found, err)
			}
			if err == nil && (found.Subject != "alice" || !found.HasScope("orders:read")) {
				t.Errorf("%+v", found)
			}
			if fresh.accepts[0] != mediaSigned+", application/json" {
				t.Errorf("accept %q", fresh.accepts[0])
			}
		})
	}
}
