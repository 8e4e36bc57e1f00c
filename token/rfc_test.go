package token_test

import (
	"errors"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// The token of RFC 7519, section 3.1 (RFC 7515, appendix A.1), and its secret.
const (
	exampleBody   = ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
	exampleToken  = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" + exampleBody + "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	exampleSecret = `{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]}`
)

// What the gateway says of the examples of RFC 7515, 7519 and 7520.
func TestExamplesOfRFCs(t *testing.T) {
	secrets, err := jose.ParseSecrets([]byte(exampleSecret), jose.Symmetric())
	if err != nil {
		t.Fatal(err)
	}
	joe := func(change func(*token.Issuer)) token.Issuer {
		issuer := token.Issuer{
			URL: "joe", Algorithms: jose.Symmetric(), Audience: token.Audience{Any: true},
			Keys: keys.NewStatic("joe", keys.NewState(), secrets),
		}
		change(&issuer)
		return issuer
	}
	as := func(*token.Issuer) {}
	then := time.Unix(1300819379, 0)
	public := newWorld(t, "ES256").issuer
	tests := map[string]struct {
		text   string
		issuer token.Issuer
		now    time.Time
		want   error
	}{
		"RFC 7519 3.1, in its time":        {exampleToken, joe(as), then, nil},
		"RFC 7519 3.1, a second too late":  {exampleToken, joe(as), then.Add(time.Second), token.Expired},
		"RFC 7519 3.1, for a named API":    {exampleToken, joe(func(i *token.Issuer) { i.Audience = token.Audience{Values: []string{"x"}} }), then, token.WrongAudience},
		"RFC 7519 3.1, by RFC 9068":        {exampleToken, joe(func(i *token.Issuer) { i.Types = []string{"at+jwt"} }), then, token.WrongType},
		"RFC 7519 3.1, with a maximum age": {exampleToken, joe(func(i *token.Issuer) { i.MaxAge = time.Hour }), then, token.BadClaim},
		"RFC 7519 3.1, by public keys":     {exampleToken, joe(func(i *token.Issuer) { i.Algorithms, i.Keys = jose.Asymmetric(), public.Keys }), then, token.WrongAlgorithm},
		"RFC 7519 3.1, secret as public":   {exampleToken, joe(func(i *token.Issuer) { i.Keys = public.Keys }), then, token.UnknownKey},
		"RFC 7519 3.1, of another issuer":  {exampleToken, joe(func(i *token.Issuer) { i.URL = "jane" }), then, token.UnknownIssuer},
		"RFC 7519 6.1, unsecured":          {"eyJhbGciOiJub25lIn0" + exampleBody, joe(as), then, token.NotJWT},
		"RFC 7515 A.4, no claims":          {"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn", joe(as), then, token.NotJWT},
		"RFC 7519 A.1, encrypted":          {"eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0.QR1Owv2ug2WyPBnbQrRARTeEk9kDO2w8qDcjiHnSJflSdv1iNqhWXaKH4MqAkQtMoNfABIPJaZm0HaA415sv3aeuBWnD8J.AxY8DCtDaGlsbGljb3RoZQ.MKOle7UQrG6nSxTLX6Mqwt0orbHvAKeWnDYvpIAeZ72deHxz3roJDXQyhxx0wKaMHDjUEOKIwrtkHthpqEanSBNYHZgmNOV7sln1Eu9g3J8.fiK51VwhsxJ-siBMR-YFiA", joe(as), then, token.Encrypted},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			verifier := token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{&test.issuer}, Now: func() time.Time { return test.now }})
			if _, _, err := verifier.Verify(t.Context(), token.NewRaw(test.text)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// The token of RFC 9068, section 3, figure 3, is good by its own strict rules;
// what the same server would write in an ID token is not.
func TestExampleOfRFC9068(t *testing.T) {
	signer := tokentest.NewKey(t, "RS256", "RjEwOwOA")
	set, err := jose.ParseKeySet(tokentest.Set(signer))
	if err != nil {
		t.Fatal(err)
	}
	issuer := &token.Issuer{
		URL: "https://authorization-server.example.com/", Algorithms: jose.Asymmetric(), Types: []string{token.TypeAccessToken},
		Audience: token.Audience{Values: []string{"https://rs.example.com/"}},
		Keys:     keys.NewStatic("", keys.NewState(), set),
	}
	const payload = `{"iss":"https://authorization-server.example.com/","sub":"5ba552d67","aud":"https://rs.example.com/",` +
		`"exp":1639528912,"iat":1618354090,"jti":"dbe39bf3a3ba4238a513f51d6e1691c4","client_id":"s6BhdRkqt3","scope":"openid profile reademail"`
	tests := map[string]struct {
		header, payload string
		now             int64
		want            error
	}{
		"as it is":           {`{"typ":"at+JWT","alg":"RS256","kid":"RjEwOwOA"}`, payload + `}`, 1618354091, nil},
		"as plain JWT":       {`{"typ":"JWT","alg":"RS256","kid":"RjEwOwOA"}`, payload + `}`, 1618354091, token.WrongType},
		"before it was made": {`{"typ":"at+JWT","alg":"RS256","kid":"RjEwOwOA"}`, payload + `}`, 1618354089, token.NotYetValid},
		"after its end":      {`{"typ":"at+JWT","alg":"RS256","kid":"RjEwOwOA"}`, payload + `}`, 1639528912, token.Expired},
		"an ID token":        {`{"typ":"at+JWT","alg":"RS256","kid":"RjEwOwOA"}`, payload + `,"nonce":"n"}`, 1618354091, token.WrongType},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			verifier := token.NewVerifier(token.VerifierConfig{
				Issuers: []*token.Issuer{issuer}, Now: func() time.Time { return time.Unix(test.now, 0) },
			})
			raw := token.NewRaw(signer.SignRaw([]byte(test.header), []byte(test.payload)))
			verified, _, err := verifier.Verify(t.Context(), raw)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && (verified.Subject != "5ba552d67" || verified.Client != "s6BhdRkqt3" || !verified.HasScope("reademail")) {
				t.Errorf("read as %+v", verified)
			}
		})
	}
}
