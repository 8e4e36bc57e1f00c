package integration_test

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const keysSite = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
	}
}
$SITE {
	token_auth
	respond in
}
`

// A key set is as good as its good keys: each bad one is dropped alone and said in the
// log, and nothing that it signs is believed.
func TestBadKeysAreDroppedAlone(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	good, twin, leaked := idp.Key, tokentest.NewKey(t, "ES256", idp.Key.ID), tokentest.NewKey(t, "ES256", "leaked")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, secret := &tokentest.Key{ID: "weak", Algorithm: "RS256", Private: short}, []byte("0123456789abcdef0123456789abcdef")
	private := leaked.JWK()
	private["d"] = strings.Repeat("A", 42) + "E"
	set := tokentest.JSON(map[string]any{"keys": []any{
		map[string]any{"kty": "PQ", "kid": "new"},
		weak.JWK(), private,
		map[string]any{"kty": "oct", "kid": "shared", "k": tokentest.Encode(secret)},
		good.JWK(), twin.JWK(),
	}})
	idp.Handle("/jwks", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) })
	gateway := harness.Start(t, keysSite, "$IDP", idp.URL)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	gateway.Get("/", good.Sign(map[string]any{"kid": nil}, idp.Claims(nil))).Expect(t, http.StatusOK)
	for name, token := range map[string]string{
		"weak RSA": weak.Sign(nil, idp.Claims(nil)), "a private key": leaked.Sign(nil, idp.Claims(nil)), "the second of one kid": twin.Sign(nil, idp.Claims(nil)),
		"a secret":              tokentest.HS256(secret, map[string]any{"alg": "HS256", "kid": "shared"}, idp.Claims(nil)),
		"a dropped key, no kid": leaked.Sign(map[string]any{"kid": nil}, idp.Claims(nil)),
	} {
		if answer := gateway.Get("/", token); answer.Status != http.StatusUnauthorized {
			t.Errorf("a token of %s: %d", name, answer.Status)
		}
	}
	if said := gateway.Lines("leaving out a key"); len(said) != 5 {
		t.Errorf("the log names %d of five: %v", len(said), said)
	}
}

// While the key set is being looked for, and for as long as that takes, nobody waits
// whose key is known.
func TestHangingKeysDelayNobody(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, keysSite, "$IDP", idp.URL)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	asked, release := make(chan struct{}, 16), make(chan struct{})
	idp.Handle("/jwks", func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	unknown := tokentest.NewKey(t, "ES256", "unknown").Sign(nil, idp.Claims(nil))
	answered := make(chan harness.Answer, 1)
	go func() { answered <- gateway.Get("/", unknown) }()
	<-asked
	for range 20 {
		gateway.Get("/", idp.Token(nil)).Expect(t, http.StatusOK)
	}
	select {
	case answer := <-answered:
		t.Errorf("the fetch did not hang: %d", answer.Status)
	default:
	}
	close(release)
	if answer := <-answered; answer.Status == http.StatusOK {
		t.Error("a token of a key that nobody knows passes")
	}
}
