package attack_test

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// A public key is public: whoever lets a token choose its algorithm lets everyone
// sign with it as the secret of an HMAC.
func TestAttack01AlgorithmConfusion(t *testing.T) {
	w := attacked(t)
	w.accepted("/a/", w.rsa.Sign(nil, w.claims(nil)))
	tokens := make(map[string]string)
	for _, key := range []*tokentest.Key{w.rsa, w.a.Key} {
		for what, secret := range publicForms(t, key) {
			for _, alg := range []string{"HS256", "HS384", "HS512", key.Algorithm, "none"} {
				header := map[string]any{"alg": alg, "kid": key.ID, "typ": "at+jwt"}
				tokens[fmt.Sprintf("%s as %s with %s", key.ID, what, alg)] = tokentest.HS256(secret, header, w.claims(nil))
			}
		}
	}
	// The key says RS256, so a PS256 signature made with it is not the issuer's.
	pss := *w.rsa
	pss.Algorithm = "PS256"
	tokens["RSA key with another padding"] = pss.Sign(nil, w.claims(nil))
	tokens["ES256 under the kid of the RSA key"] = w.a.Key.Sign(map[string]any{"kid": w.rsa.ID}, w.claims(nil))
	tokens["RS256 under the kid of the EC key"] = w.rsa.Sign(map[string]any{"kid": w.a.Key.ID}, w.claims(nil))
	tokens["ES256 named ES384"] = w.a.Key.Sign(map[string]any{"alg": "ES384"}, w.claims(nil))
	tokens["ES256 named EdDSA"] = w.a.Key.Sign(map[string]any{"alg": "EdDSA"}, w.claims(nil))
	allRefused(t, "/a/", tokens)
}

// publicForms are the texts under which a public key lies around.
func publicForms(tb testing.TB, key *tokentest.Key) map[string][]byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Private.Public())
	if err != nil {
		tb.Fatal(err)
	}
	member := key.JWK()
	forms := map[string][]byte{
		"DER": der,
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"JWK": tokentest.JSON(member),
		"set": tokentest.Set(key),
	}
	for _, name := range []string{"n", "x"} {
		if text, ok := member[name].(string); ok {
			forms[name] = []byte(text)
			forms["bytes of "+name] = tokentest.Decode(tb, text)
		}
	}
	return forms
}

func TestAttack02NoSignature(t *testing.T) {
	w := attacked(t)
	good := w.token(nil)
	w.accepted("/a/", good)
	parts := strings.Split(good, ".")
	tokens := map[string]string{
		"empty third part":          parts[0] + "." + parts[1] + ".",
		"two parts":                 parts[0] + "." + parts[1],
		"one part":                  parts[0],
		"dots only":                 "..",
		"one dot":                   ".",
		"empty payload":             parts[0] + ".." + parts[2],
		"empty header":              "." + parts[1] + "." + parts[2],
		"a fourth part":             good + "." + parts[2],
		"a dot behind":              good + ".",
		"padding":                   good + "==",
		"signature of zeros":        parts[0] + "." + parts[1] + "." + tokentest.Encode(make([]byte, 64)),
		"half a signature":          parts[0] + "." + parts[1] + "." + parts[2][:43],
		"signature and a byte":      parts[0] + "." + parts[1] + "." + tokentest.Encode(append(tokentest.Decode(t, parts[2]), 0)),
		"signature of another text": parts[0] + "." + parts[1] + "." + strings.Split(w.token(nil), ".")[2],
	}
	for _, alg := range []any{"none", "None", "NONE", "NoNe", "nOnE", " none", "", nil, 0, true, []string{"none"}, []string{"ES256"}} {
		header := tokentest.JSON(map[string]any{"alg": alg, "kid": "k1", "typ": "at+jwt"})
		unsigned := tokentest.Encode(header) + "." + tokentest.Encode(tokentest.JSON(w.claims(nil))) + "."
		tokens[fmt.Sprintf("alg %v, no signature", alg)] = unsigned
		tokens[fmt.Sprintf("alg %v, some signature", alg)] = unsigned + parts[2]
		tokens[fmt.Sprintf("alg %v, signed", alg)] = w.a.Key.SignRaw(header, tokentest.JSON(w.claims(nil)))
	}
	tokens["no alg"] = w.a.Key.Sign(map[string]any{"alg": nil}, w.claims(nil))
	tokens["crit"] = w.a.Key.Sign(map[string]any{"crit": []string{"exp"}}, w.claims(nil))
	tokens["b64 false"] = w.a.Key.Sign(map[string]any{"b64": false, "crit": []string{"b64"}}, w.claims(nil))
	tokens["zip"] = w.a.Key.Sign(map[string]any{"zip": "DEF"}, w.claims(nil))
	tokens["JSON serialization"] = tokentest.Encode(tokentest.JSON(map[string]any{
		"payload": parts[1], "protected": parts[0], "signature": parts[2],
	}))
	allRefused(t, "/a/", tokens)
}

// A token that brings its own key proves that its maker has that key.
func TestAttack03EmbeddedKey(t *testing.T) {
	w := attacked(t)
	certificate := selfSigned(t, w.thief)
	headers := map[string]map[string]any{
		"jwk":        {"jwk": w.thief.JWK()},
		"jku":        {"jku": w.trap.URL + "/jwks"},
		"x5u":        {"x5u": w.trap.URL + "/certificate"},
		"x5c":        {"x5c": []string{certificate}},
		"everything": {"jwk": w.thief.JWK(), "jku": w.trap.URL + "/jwks", "x5u": w.trap.URL, "x5c": []string{certificate}},
	}
	tokens := make(map[string]string)
	for name, header := range headers {
		for _, kid := range []any{"k1", "k2", nil, w.trap.URL + "/jwks"} {
			all := map[string]any{"kid": kid}
			maps.Copy(all, header)
			tokens[fmt.Sprintf("%s, kid %v", name, kid)] = w.thief.Sign(all, w.claims(nil))
		}
	}
	allRefused(t, "/a/", tokens)
	w.trap.untouched(t)
	// A server that sends such members is not refused for it: they are not read.
	w.accepted("/a/", w.a.Key.Sign(headers["everything"], w.claims(nil)))
	w.trap.untouched(t)
}

func selfSigned(tb testing.TB, key *tokentest.Key) string {
	tb.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Private.Public(), key.Private)
	if err != nil {
		tb.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// A kid is a name in a key set: no path, no URL, no query. The files and the
// server named here hold the attacker's key, which signed the token.
func TestAttack04KeyID(t *testing.T) {
	w := attacked(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "key.json")
	if err := os.WriteFile(file, tokentest.Set(w.thief), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens := make(map[string]string)
	for _, kid := range []any{
		file, "file://" + file, strings.Repeat("../", 20) + file, "../x", "../../../../dev/null", "/dev/null",
		w.trap.URL + "/jwks", "//" + strings.TrimPrefix(w.trap.URL, "http://"), "k1' OR '1'='1", "' UNION SELECT 'a", "*", "k1*",
		"k1\x00", "\x00", "K1", " k1", "k1\n", "{env.HOME}", "{http.request.uri}", "$(id)", strings.Repeat("k", 8<<10),
		1, 1e300, true,
		[]string{"k1"},
		map[string]any{"k": 1},
		"",
	} {
		tokens[fmt.Sprintf("%.40q", fmt.Sprint(kid))] = w.thief.Sign(map[string]any{"kid": kid}, w.claims(nil))
	}
	tokens["null"] = w.thief.SignRaw([]byte(`{"alg":"ES256","kid":null}`), tokentest.JSON(w.claims(nil)))
	tokens["invalid UTF-8"] = w.thief.SignRaw([]byte("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"), tokentest.JSON(w.claims(nil)))
	tokens["by the issuer, kid a number"] = w.a.Key.Sign(map[string]any{"kid": 1}, w.claims(nil))
	tokens["by the issuer, kid too long"] = w.a.Key.Sign(map[string]any{"kid": strings.Repeat("k", 8<<10)}, w.claims(nil))
	allRefused(t, "/a/", tokens)
	w.trap.untouched(t)
	w.accepted("/a/", w.token(nil))
}
