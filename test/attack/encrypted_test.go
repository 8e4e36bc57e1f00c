package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// jwe writes an encrypted token of that header, whose other parts are of the right
// size and hold what nobody can decrypt.
func jwe(header map[string]any, ciphertext []byte) string {
	return strings.Join([]string{
		tokentest.Encode(tokentest.JSON(header)), tokentest.Encode(make([]byte, 40)),
		tokentest.Encode(make([]byte, 16)), tokentest.Encode(ciphertext), tokentest.Encode(make([]byte, 16)),
	}, ".")
}

// An encrypted token says itself how much work it is to derive its key. None is
// derived: with a thousand million rounds no answer would ever come.
func TestAttack22KeyDerivation(t *testing.T) {
	w := attacked(t)
	for _, alg := range []string{"PBES2-HS256+A128KW", "PBES2-HS512+A256KW"} {
		header := map[string]any{"alg": alg, "enc": "A128CBC-HS256", "p2c": 1_000_000_000, "p2s": "c2FsdHNhbHRzYWx0c2FsdA", "kid": "k1"}
		for name, token := range map[string]string{
			"encrypted": jwe(header, make([]byte, 512)),
			"signed":    w.a.Key.Sign(header, w.claims(nil)),
		} {
			t.Run(name+" "+alg, func(t *testing.T) {
				w := attacked(t)
				w.flat(func() {
					for range 20 {
						w.refused("/a/", token)
					}
				})
			})
		}
	}
	w.accepted("/a/", w.token(nil))
}

// What is compressed may be far larger than it looks. It is never inflated.
func TestAttack23Decompression(t *testing.T) {
	w := attacked(t)
	// The most that a token may hold, and a gigabyte, which is more.
	small, large := []byte(tokentest.CompressedZeros(t, 8<<20)), []byte(tokentest.CompressedZeros(t, 1<<30))
	for name, header := range map[string]map[string]any{
		"encrypted": {"alg": "dir", "enc": "A128CBC-HS256", "zip": "DEF", "kid": "k1"},
		"signed":    {"alg": "ES256", "zip": "DEF", "kid": "k1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := attacked(t)
			token := func(content []byte) string {
				if name == "encrypted" {
					return jwe(header, content)
				}
				return w.a.Key.SignRaw(tokentest.JSON(header), content)
			}
			w.flat(func() {
				for range 5 {
					w.refused("/a/", token(small))
					w.refusedAs(w.request(http.MethodGet, w.alias+"/", token(large)), http.StatusBadRequest, challengeMalformed)
				}
			})
		})
	}
	w.accepted("/a/", w.token(nil))
}
