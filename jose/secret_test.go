package jose_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

func oct(kid string, size int, more map[string]any) map[string]any {
	return octets(kid, []byte(strings.Repeat("s", size)), more)
}

func octets(kid string, secret []byte, more map[string]any) map[string]any {
	member := map[string]any{"kty": "oct", "kid": kid, "k": tokentest.Encode(secret)}
	maps.Copy(member, more)
	return member
}

func setOf(members ...map[string]any) []byte {
	return tokentest.JSON(map[string]any{"keys": members})
}

func TestParseSecretsDropsOneByOne(t *testing.T) {
	public := tokentest.NewKey(t, "RS256", "public")
	pem := "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----\n"
	tests := map[string]struct {
		member map[string]any
		reason string
	}{
		"31 octets":      {oct("x", 31, nil), "shorter than the hash"},
		"empty":          {oct("x", 0, nil), "shorter than the hash"},
		"HS512 too weak": {oct("x", 63, map[string]any{"alg": "HS512"}), "shorter than the hash"},
		"HS384":          {oct("x", 64, map[string]any{"alg": "HS384"}), "not among the issuer's"},
		"RS256":          {oct("x", 64, map[string]any{"alg": "RS256"}), "not among the issuer's"},
		"A256GCM":        {oct("x", 64, map[string]any{"alg": "A256GCM"}), "not among the issuer's"},
		"encryption":     {oct("x", 64, map[string]any{"use": "enc"}), "use is not sig"},
		"RSA":            {public.JWK(), "not a shared secret"},
		"PEM":            {octets("x", []byte(pem), nil), "no secret"},
		"JWK":            {octets("x", tokentest.JSON(public.JWK()), nil), "no secret"},
		"set":            {octets("x", tokentest.Set(public), nil), "no secret"},
		"duplicate kid":  {oct("good", 64, nil), "used by an earlier key"},
		"broken base64":  {map[string]any{"kty": "oct", "k": "!"}, "not a JWK of a known type"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			set, err := jose.ParseSecrets(setOf(oct("good", 64, nil), test.member), []jose.Algorithm{jose.HS256, jose.HS512})
			if err != nil {
				t.Fatal(err)
			}
			if len(set.Keys) != 1 || set.Keys[0].ID() != "good" {
				t.Errorf("kept %d keys", len(set.Keys))
			}
			if len(set.Dropped) != 1 || !strings.Contains(set.Dropped[0].Reason, test.reason) {
				t.Errorf("dropped %+v, want reason %q", set.Dropped, test.reason)
			}
		})
	}
	for _, text := range []string{`{}`, `[]`, `{"keys":[]}`, string(tokentest.Set(public)), string(setOf(oct("x", 31, nil)))} {
		if _, err := jose.ParseSecrets([]byte(text), jose.Symmetric()); !errors.Is(err, jose.ErrKeySet) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// A secret serves the algorithms whose hash is no longer than it, and no others.
func TestSecretsFitByTheirLength(t *testing.T) {
	for size, want := range map[int]string{32: "HS256", 47: "HS256", 48: "HS256 HS384", 64: "HS256 HS384 HS512"} {
		set, err := jose.ParseSecrets(setOf(oct("k", size, nil)), jose.Symmetric())
		if err != nil {
			t.Fatal(err)
		}
		var fits []string
		for _, alg := range append(jose.Asymmetric(), jose.Symmetric()...) {
			if set.Keys[0].Supports(alg) {
				fits = append(fits, string(alg))
			}
		}
		if got := strings.Join(fits, " "); got != want {
			t.Errorf("%d octets fit %q, want %q", size, got, want)
		}
	}
	member := tokentest.NewKey(t, "RS256", "").JWK()
	delete(member, "alg") // else that alone would tell it from a secret
	set, err := jose.ParseKeySet(setOf(member))
	if err != nil {
		t.Fatal(err)
	}
	public := set.Keys[0]
	for _, alg := range jose.Symmetric() {
		if public.Supports(alg) || public.Verify(alg, nil, nil) == nil {
			t.Errorf("a public key serves %s", alg)
		}
	}
}

func TestSecretsAreNowhereSeen(t *testing.T) {
	secret := []byte("canary-secret-canary-secret-canary-secret")
	document := setOf(octets("k", secret, nil))
	set, err := jose.ParseSecrets(document, []jose.Algorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	key := set.Keys[0]
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	seen := string(text)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		seen += fmt.Sprintf(verb, key) + fmt.Sprintf(verb, *key) + fmt.Sprintf(verb, set)
	}
	for _, form := range []string{"canary", fmt.Sprintf("%x", secret), fmt.Sprintf("%d", secret), tokentest.Encode(secret)} {
		if strings.Contains(seen, strings.Trim(form, "[]")) {
			t.Errorf("%.20s is seen in %s", form, seen)
		}
	}
	if key.Thumbprint() != [32]byte{} {
		t.Error("a secret has a thumbprint, which is a hash to try guesses with")
	}
	again, err := jose.ParseSecrets(document, []jose.Algorithm{jose.HS256})
	if err != nil || !key.Equal(again.Keys[0]) {
		t.Error("the same secret is another key")
	}
	other, err := jose.ParseSecrets(setOf(oct("k", 41, nil)), []jose.Algorithm{jose.HS256})
	if err != nil || key.Equal(other.Keys[0]) {
		t.Error("another secret is the same key")
	}
}

// Keys that no signature could confuse may share a kid (RFC 7517, section 4.5).
func TestKeysOfOtherTypesShareAKid(t *testing.T) {
	ec, rsa, ed := tokentest.NewKey(t, "ES256", "k"), tokentest.NewKey(t, "RS256", "k"), tokentest.NewKey(t, "EdDSA", "k")
	pss := *rsa
	pss.Algorithm = "PS256"
	set, err := jose.ParseKeySet(tokentest.Set(ec, rsa, ed, &pss, tokentest.NewKey(t, "RS256", "k")))
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 4 || len(set.Dropped) != 1 || set.Dropped[0].Index != 4 {
		t.Errorf("kept %d, dropped %+v", len(set.Keys), set.Dropped)
	}
}
