package jose

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
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

// The example of RFC 7520, section 5.4. Its content is prose: it opens, and is no token.
func TestOpenRFC7520(t *testing.T) {
	key, err := ParseDecryptionKey([]byte(`{"kty":"EC","kid":"peregrin.took@tuckborough.example","use":"enc","crv":"P-384",
		"x":"YU4rRUzdmVqmRtWOs2OpDE_T5fsNIodcG8G5FWPrTPMyxpzsSOGaQLpe2FpxBmu2",
		"y":"A8-yxCHxkfBz3hKZfI1jUYMjUhsEveZ9THuwFjH2sCNdtksRJU7D5-SkgaFL1ETP",
		"d":"iTx2pk7wW-GqJkHcEkFQb2EFyYcO7RugmaW3mRrQVAOUiPommT0IdnYK2xDlZh-j"}`))
	if err != nil {
		t.Fatal(err)
	}
	const compact = "eyJhbGciOiJFQ0RILUVTK0ExMjhLVyIsImtpZCI6InBlcmVncmluLnRvb2tAdHVja2Jvcm91Z2guZXhhbXBsZSIsImVwayI6eyJrdHkiOiJFQyIsImNydiI6IlAtMzg0IiwieCI6InVCbzRrSFB3Nmtiang1bDB4b3dyZF9vWXpCbWF6LUdLRlp1NHhBRkZrYllpV2d1dEVLNml1RURzUTZ3TmROZzMiLCJ5Ijoic3AzcDVTR2haVkMyZmFYdW1JLWU5SlUyTW84S3BvWXJGRHI1eVBOVnRXNFBnRXdaT3lRVEEtSmRhWTh0YjdFMCJ9LCJlbmMiOiJBMTI4R0NNIn0" +
		".0DJjBXri_kBcC46IkU5_Jk9BqaQeHdv2.mH-G2zVqgztUtnW_" +
		".tkZuOO9h95OgHJmkkrfLBisku8rGf6nzVxhRM3sVOhXgz5NJ76oID7lpnAi_cPWJRCjSpAaUZ5dOR3Spy7QuEkmKx8-3RCMhSYMzsXaEwDdXta9Mn5B7cCBoJKB0IgEnj_qfo1hIi-uEkUpOZ8aLTZGHfpl05jMwbKkTe2yK3mjF6SBAsgicQDVCkcY9BLluzx1RmC3ORXaM0JaHPB93YcdSDGgpgBWMVrNU1ErkjcMqMoT_wtCex3w03XdLkjXIuEr2hWgeP-nkUZTPU9EoGSPj6fAS-bSz87RCPrxZdj_iVyC6QWcqAu07WNhjzJEPc4jVntRJ6K53NgPQ5p99l3Z408OUqj4ioYezbS6vTPlQ" +
		".WuGzxmcreYjpHGJoa17EBg"
	envelope, err := parseJWE(compact)
	if err != nil {
		t.Fatal(err)
	}
	plain, ok := envelope.open(key)
	if !ok || !bytes.HasPrefix(plain, []byte("You can trust us to stick with you through thick and thin")) {
		t.Errorf("got %q, %t", plain, ok)
	}
	decrypter, err := NewDecrypter(key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decrypter.Decrypt(compact); !errors.Is(err, ErrDecryption) {
		t.Errorf("prose is a token: %q, %v", got, err)
	}
}
