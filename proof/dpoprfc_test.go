package proof_test

import (
	"encoding/base64"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// The proof of RFC 9449, section 7.1, with its token and the key of section 6.1.
func TestDPoPRFC9449(t *testing.T) {
	const example = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik" +
		"VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR" +
		"nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE" +
		"QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj" +
		"oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z" +
		"WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF" +
		"c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E" +
		"OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
	var key token.Thumbprint
	if _, err := base64.RawURLEncoding.Decode(key[:], []byte("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")); err != nil {
		t.Fatal(err)
	}
	raw := token.NewRaw("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")
	digest := raw.Digest()
	if got := tokentest.Encode(digest[:]); got != "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo" {
		t.Errorf("ath %s", got)
	}
	synctest.Test(t, func(t *testing.T) {
		checker := newDPoP(t, proof.DPoPConfig{})
		request := proof.Request{
			Proofs: []string{example}, Method: "GET", Key: key, Token: digest,
			URLs: []string{"https://resource.example.org/protectedresource"},
		}
		<-time.After(time.Until(time.Unix(1562262618, 0)) + 10*time.Second)
		other := request
		other.Token = token.NewRaw("another").Digest()
		if _, err := checker.Check(t.Context(), other); !errors.Is(err, proof.BadProof) {
			t.Errorf("with another token: %v", err)
		}
		if proved, err := checker.Check(t.Context(), request); err != nil || proved.Key != key {
			t.Errorf("%+v, %v", proved, err)
		}
		if _, err := checker.Check(t.Context(), request); !errors.Is(err, proof.Replayed) {
			t.Errorf("again: %v, want Replayed", err)
		}
	})
}

// The proof of RFC 9449, section 4.1, which comes without a token.
func TestDPoPRFC9449TokenRequest(t *testing.T) {
	const example = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	synctest.Test(t, func(t *testing.T) {
		checker := newDPoP(t, proof.DPoPConfig{})
		<-time.After(time.Until(time.Unix(1562262616, 0)))
		_, err := checker.Check(t.Context(), proof.Request{
			Proofs: []string{example}, Method: "POST", URLs: []string{"https://server.example.com/token"},
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestProve(t *testing.T) {
	nonces, err := proof.NewNonces(0)
	if err != nil {
		t.Fatal(err)
	}
	checker := newDPoP(t, proof.DPoPConfig{Nonces: nonces})
	for _, alg := range []jose.Algorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA} {
		signer, err := jose.NewSigner(tokentest.NewKey(t, string(alg), "").Private, alg, "")
		if err != nil {
			t.Fatal(err)
		}
		raw := token.NewRaw("the gateway's token")
		made, err := proof.Prove(signer, proof.Target{
			Method: "POST", URL: "HTTPS://API.example.com:443/a?b=c#d", Token: raw, Nonce: nonces.Offer(),
		})
		if err != nil {
			t.Fatal(err)
		}
		request := proof.Request{
			Proofs: []string{made}, Method: "POST", URLs: []string{"https://api.example.com/a"},
			Token: raw.Digest(), Key: signer.Public().Thumbprint(),
		}
		if _, err := checker.Check(t.Context(), request); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	signer, err := jose.NewSigner(tokentest.NewKey(t, "ES256", "").Private, jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	if made, err := proof.Prove(signer, proof.Target{Method: "GET", URL: "/a"}); err == nil {
		t.Errorf("a proof for a URL without a host: %s", made)
	}
}
