package jose_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// one returns the only key of a set.
func one(t *testing.T, key *tokentest.Key) *jose.Key {
	t.Helper()
	set, err := jose.ParseKeySet(tokentest.Set(key))
	if err != nil {
		t.Fatal(err)
	}
	return set.Keys[0]
}

func TestVerifyEachAlgorithm(t *testing.T) {
	for _, algorithm := range []string{"ES256", "RS256", "PS256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			signer := tokentest.NewKey(t, algorithm, "k")
			jws, err := jose.ParseJWS(signer.Sign(nil, map[string]any{"a": 1}))
			if err != nil {
				t.Fatal(err)
			}
			if err := jws.VerifyWith(one(t, signer), jose.Algorithm(algorithm)); err != nil {
				t.Errorf("own key: %v", err)
			}
			other := one(t, tokentest.NewKey(t, algorithm, "k"))
			if err := jws.VerifyWith(other, jose.Algorithm(algorithm)); !errors.Is(err, jose.ErrSignature) {
				t.Errorf("another key: %v, want ErrSignature", err)
			}
		})
	}
}

func TestVerifyRefusesAnotherAlgorithm(t *testing.T) {
	signer := tokentest.NewKey(t, "RS256", "k")
	key := one(t, signer)
	jws, err := jose.ParseJWS(signer.Sign(nil, map[string]any{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []jose.Algorithm{jose.PS256, jose.ES256, "HS256", "none", ""} {
		if err := jws.VerifyWith(key, algorithm); !errors.Is(err, jose.ErrSignature) {
			t.Errorf("%s: %v, want ErrSignature", algorithm, err)
		}
	}
	if key.Supports(jose.PS256) {
		t.Error("a key with alg RS256 supports PS256")
	}
}

func TestParseJWSRefuses(t *testing.T) {
	signer := tokentest.NewKey(t, "ES256", "k")
	good := signer.Sign(nil, map[string]any{"a": 1})
	head, rest, _ := strings.Cut(good, ".")
	body, tail, _ := strings.Cut(rest, ".")
	long := strings.Repeat("k", 600)
	tests := map[string]string{
		"empty":               "",
		"one part":            head,
		"two parts":           head + "." + body,
		"four parts":          good + ".x",
		"two dots only":       "..",
		"empty signature":     head + "." + body + ".",
		"empty payload":       head + ".." + tail,
		"line break":          head + ".\n" + body + "." + tail,
		"padding":             head + "=." + body + "." + tail,
		"standard alphabet":   head + ".+/+/." + tail,
		"header not JSON":     tokentest.Encode([]byte("x")) + "." + body + "." + tail,
		"header a list":       signer.SignRaw([]byte(`[]`), []byte(`{}`)),
		"header twice alg":    signer.SignRaw([]byte(`{"alg":"ES256","alg":"none"}`), []byte(`{}`)),
		"header trailing":     signer.SignRaw([]byte(`{"alg":"ES256"} {}`), []byte(`{}`)),
		"header without alg":  signer.SignRaw([]byte(`{}`), []byte(`{}`)),
		"alg a number":        signer.SignRaw([]byte(`{"alg":1}`), []byte(`{}`)),
		"kid a number":        signer.SignRaw([]byte(`{"alg":"ES256","kid":1}`), []byte(`{}`)),
		"kid a list":          signer.SignRaw([]byte(`{"alg":"ES256","kid":[]}`), []byte(`{}`)),
		"kid too long":        signer.SignRaw([]byte(`{"alg":"ES256","kid":"`+long+`"}`), []byte(`{}`)),
		"typ null":            signer.SignRaw([]byte(`{"alg":"ES256","typ":null}`), []byte(`{}`)),
		"crit":                signer.SignRaw([]byte(`{"alg":"ES256","crit":["exp"]}`), []byte(`{}`)),
		"zip":                 signer.SignRaw([]byte(`{"alg":"ES256","zip":"DEF"}`), []byte(`{}`)),
		"b64":                 signer.SignRaw([]byte(`{"alg":"ES256","b64":false}`), []byte(`{}`)),
		"header invalid UTF8": signer.SignRaw([]byte("{\"alg\":\"ES256\",\"kid\":\"\xff\"}"), []byte(`{}`)),
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.ParseJWS(text); !errors.Is(err, jose.ErrMalformed) {
				t.Errorf("got %v, want ErrMalformed", err)
			}
		})
	}
	if _, err := jose.ParseJWS("a.b.c.d.e"); !errors.Is(err, jose.ErrEncrypted) {
		t.Errorf("five parts: %v, want ErrEncrypted", err)
	}
}

func TestParseJWSHasOneSpelling(t *testing.T) {
	// Strict base64url: the last character's unused bits must be zero, so that
	// nobody can make a second text of the same token.
	good := tokentest.NewKey(t, "ES256", "k").Sign(nil, map[string]any{})
	last := good[len(good)-1]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(alphabet, last)
	if _, err := jose.ParseJWS(good[:len(good)-1] + string(alphabet[at^1])); !errors.Is(err, jose.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
}

func TestParseObjectIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"list":             `[]`,
		"text":             `"a"`,
		"nothing":          ``,
		"duplicate":        `{"a":1,"a":2}`,
		"duplicate inside": `{"a":{"b":1,"b":2}}`,
		"duplicate spelt":  `{"a":1,"\u0061":2}`,
		"in a list":        `{"a":[{"b":1,"b":2}]}`,
		"trailing":         `{} x`,
		"trailing object":  `{}{}`,
		"invalid UTF-8":    "{\"a\":\"\xff\"}",
		"lone surrogate":   `{"a":"\ud800"}`,
		"comment":          `{/**/}`,
		"NaN":              `{"a":NaN}`,
		"unclosed":         `{"a":1`,
		"deep":             `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.ParseObject([]byte(text)); !errors.Is(err, jose.ErrJSON) {
				t.Errorf("got %v, want ErrJSON", err)
			}
		})
	}
}

func TestParseObjectKeepsDigits(t *testing.T) {
	object, err := jose.ParseObject([]byte(`{"id":12345678901234567891}`))
	if err != nil {
		t.Fatal(err)
	}
	if object["id"] != json.Number("12345678901234567891") {
		t.Errorf("got %v", object["id"])
	}
}

func FuzzParseJWS(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.AA")
	f.Fuzz(func(t *testing.T, text string) {
		jws, err := jose.ParseJWS(text)
		if (jws == nil) == (err == nil) {
			t.Fatalf("%v, %v", jws, err)
		}
	})
}

func FuzzParseObject(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		object, err := jose.ParseObject(data)
		if err != nil {
			return
		}
		// What is accepted must mean the same to the standard library.
		var other map[string]any
		if err := json.Unmarshal(data, &other); err != nil || len(other) != len(object) {
			t.Fatalf("%v: %v against %v", err, object, other)
		}
	})
}
