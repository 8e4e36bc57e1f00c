package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The examples of RFC 3394, sections 4.1 and 4.6.
func TestUnwrapKeyRFC3394(t *testing.T) {
	for name, test := range map[string]struct{ wrapping, key, wrapped string }{
		"4.1": {
			"000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff",
			"1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5",
		},
		"4.6": {
			"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
			"00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
			"28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wrapping, wrapped := fromHex(t, test.wrapping), fromHex(t, test.wrapped)
			key, ok := unwrapKey(wrapping, wrapped)
			if !ok || !bytes.Equal(key, fromHex(t, test.key)) {
				t.Errorf("got %x, %t", key, ok)
			}
			for i := range wrapped {
				changed := bytes.Clone(wrapped)
				changed[i] ^= 1
				if _, ok := unwrapKey(wrapping, changed); ok {
					t.Errorf("octet %d changed, and unwrapped all the same", i)
				}
			}
			for _, length := range []int{0, 8, 16, len(wrapped) - 1} {
				if _, ok := unwrapKey(wrapping, wrapped[:length]); ok {
					t.Errorf("%d octets unwrapped", length)
				}
			}
		})
	}
}

// The example of RFC 7518, appendix C: Bob finds the key that Alice derived.
func TestAgreementRFC7518(t *testing.T) {
	key, err := ParseDecryptionKey([]byte(`{"kty":"EC","crv":"P-256",
		"x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
		"y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
		"d":"VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"}`))
	if err != nil {
		t.Fatal(err)
	}
	header := `{"alg":"ECDH-ES","enc":"A128GCM","apu":"QWxpY2U","apv":"Qm9i","epk":{"kty":"EC","crv":"P-256",
		"x":"gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0",
		"y":"SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps"}}`
	envelope, err := readJWEHeader(base64.RawURLEncoding.EncodeToString([]byte(header)))
	if err != nil {
		t.Fatal(err)
	}
	content, ok := key.contentKey(envelope)
	if got := base64.RawURLEncoding.EncodeToString(content); !ok || got != "VqqN6vgjbSBcIijNcacQGg" {
		t.Errorf("got %s, %t", got, ok)
	}
}
