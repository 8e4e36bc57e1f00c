package tokentest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"maps"
	"testing"
)

// Encrypt encrypts a text to a public key as a compact JWE: RSA-OAEP-256, or
// ECDH-ES on P-256, with A256GCM. Members of header replace those that a good
// header has (alg, enc, cty, epk), whatever was done; a nil one leaves it out.
func Encrypt(tb testing.TB, to crypto.PublicKey, header map[string]any, text string) string {
	tb.Helper()
	full := map[string]any{"enc": "A256GCM", "cty": "JWT"}
	content, wrapped := contentKey(tb, to, full)
	maps.Copy(full, header)
	maps.DeleteFunc(full, func(_ string, value any) bool { return value == nil })
	block, err := aes.NewCipher(content)
	if err != nil {
		tb.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		tb.Fatal(err)
	}
	nonce := make([]byte, gcm.NonceSize())
	rand.Read(nonce)
	protected := Encode(JSON(full))
	sealed := gcm.Seal(nil, nonce, []byte(text), []byte(protected))
	body, tag := sealed[:len(text)], sealed[len(text):]
	return protected + "." + Encode(wrapped) + "." + Encode(nonce) + "." + Encode(body) + "." + Encode(tag)
}

func contentKey(tb testing.TB, to crypto.PublicKey, header map[string]any) (content, wrapped []byte) {
	tb.Helper()
	if public, ok := to.(*rsa.PublicKey); ok {
		header["alg"] = "RSA-OAEP-256"
		content = make([]byte, 32)
		rand.Read(content)
		wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, content, nil)
		if err != nil {
			tb.Fatal(err)
		}
		return content, wrapped
	}
	public, ok := to.(*ecdsa.PublicKey)
	if !ok {
		tb.Fatalf("nothing is encrypted to a %T here", to)
	}
	header["alg"] = "ECDH-ES"
	return agreedKey(tb, public, header), nil
}

// agreedKey is RFC 7518, section 4.6, with neither apu nor apv.
func agreedKey(tb testing.TB, public *ecdsa.PublicKey, header map[string]any) []byte {
	tb.Helper()
	sender, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	point := (&Key{Private: sender}).JWK()
	header["epk"] = map[string]any{"kty": "EC", "crv": "P-256", "x": point["x"], "y": point["y"]}
	mine, err := sender.ECDH()
	if err != nil {
		tb.Fatal(err)
	}
	theirs, err := public.ECDH()
	if err != nil {
		tb.Fatal(err)
	}
	shared, err := mine.ECDH(theirs)
	if err != nil {
		tb.Fatal(err)
	}
	text := append(binary.BigEndian.AppendUint32(nil, 1), shared...)
	for _, field := range []string{"A256GCM", "", ""} {
		text = append(binary.BigEndian.AppendUint32(text, uint32(len(field))), field...)
	}
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(text, 256))
	return sum[:]
}

// PEM is the private key as PKCS #8.
func (k *Key) PEM(tb testing.TB) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
