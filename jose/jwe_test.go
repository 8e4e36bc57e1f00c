package jose_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"
	"github.com/lestrrat-go/jwx/v2/x25519"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

func TestDecryptEachAlgorithm(t *testing.T) {
	for _, kind := range []string{"RSA", "P-256", "P-384", "P-521", "X25519"} {
		r := newRecipient(t, kind)
		d := r.decrypter(t)
		for _, way := range jose.KeyManagements() {
			if (way == jose.RSAOAEP256) != (kind == "RSA") {
				continue
			}
			for _, enc := range []jwa.ContentEncryptionAlgorithm{jwa.A128GCM, jwa.A192GCM, jwa.A256GCM} {
				text := r.encrypt(t, jwa.KeyEncryptionAlgorithm(way), enc, map[string]any{"cty": "JWT"})
				if got, err := d.Decrypt(text); err != nil || got != inner {
					t.Errorf("%s, %s, %s: %q, %v", kind, way, enc, got, err)
				}
			}
		}
	}
}

func TestDecryptReadsPEM(t *testing.T) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := recipient{file: privatePEM(t, key), public: x25519.PublicKey(key.PublicKey().Bytes())}
	if got, err := r.decrypter(t).Decrypt(r.encrypt(t, jwa.ECDH_ES_A256KW, jwa.A256GCM, nil)); err != nil || got != inner {
		t.Errorf("%q, %v", got, err)
	}
}

// TestDecryptRefuses sends what the JOSE library, or the key, could well open.
func TestDecryptRefuses(t *testing.T) {
	rsaKey, ec := newRecipient(t, "RSA"), newRecipient(t, "P-256")
	d := decrypter(t, rsaKey.key(t), ec.key(t))
	good := ec.encrypt(t, jwa.ECDH_ES_A128KW, jwa.A128GCM, nil)
	agreed := ec.encrypt(t, jwa.ECDH_ES, jwa.A128GCM, nil)
	part := func(text string, i int) string { return strings.Split(text, ".")[i] }
	replace := func(text string, i int, by string) string {
		parts := strings.Split(text, ".")
		parts[i] = by
		return strings.Join(parts, ".")
	}
	header := func(text string) string {
		return tokentest.Encode([]byte(text)) + ".AAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"
	}
	cut := append(tokentest.Decode(t, part(good, 3)), tokentest.Decode(t, part(good, 4))...)
	for name, text := range map[string]string{
		"tag grown":       replace(replace(good, 3, tokentest.Encode(cut[:len(cut)-17])), 4, tokentest.Encode(cut[len(cut)-17:])),
		"tag shrunk":      replace(replace(good, 3, tokentest.Encode(cut[:len(cut)-8])), 4, tokentest.Encode(cut[len(cut)-8:])),
		"nothing":         "",
		"a JWS":           inner,
		"dots":            strings.Repeat(".", 1<<20),
		"six parts":       good + ".x",
		"too long":        replace(good, 3, strings.Repeat("A", 64<<10)),
		"long header":     replace(good, 0, strings.Repeat("A", 5<<10)),
		"RSA1_5":          rsaKey.encrypt(t, jwa.RSA1_5, jwa.A128GCM, nil),
		"RSA-OAEP SHA-1":  rsaKey.encrypt(t, jwa.RSA_OAEP, jwa.A128GCM, nil),
		"CBC":             rsaKey.encrypt(t, jwa.RSA_OAEP_256, jwa.A128CBC_HS256, nil),
		"zip":             ec.encrypt(t, jwa.ECDH_ES, jwa.A128GCM, nil, jwe.WithCompress(jwa.Deflate)),
		"crit":            ec.encrypt(t, jwa.ECDH_ES, jwa.A128GCM, map[string]any{"crit": []string{"exp"}, "exp": 1}),
		"cty":             ec.encrypt(t, jwa.ECDH_ES, jwa.A128GCM, map[string]any{"cty": "text/plain"}),
		"PBES2":           header(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2s":"AAAAAAAAAAA","p2c":1000000000}`),
		"p2c":             header(`{"alg":"RSA-OAEP-256","enc":"A128GCM","p2c":1000000000}`),
		"dir":             header(`{"alg":"dir","enc":"A128GCM"}`),
		"A128KW":          header(`{"alg":"A128KW","enc":"A128GCM"}`),
		"none":            header(`{"alg":"none","enc":"A128GCM"}`),
		"alg twice":       header(`{"alg":"ECDH-ES","alg":"RSA-OAEP-256","enc":"A128GCM"}`),
		"no enc":          header(`{"alg":"RSA-OAEP-256"}`),
		"no epk":          header(`{"alg":"ECDH-ES+A128KW","enc":"A128GCM"}`),
		"epk a text":      header(`{"alg":"ECDH-ES+A128KW","enc":"A128GCM","epk":"x"}`),
		"kid a number":    header(`{"alg":"RSA-OAEP-256","enc":"A128GCM","kid":1}`),
		"not JSON":        header(`x`),
		"a foreign key":   newRecipient(t, "P-256").encrypt(t, jwa.ECDH_ES, jwa.A128GCM, nil),
		"other curve":     newRecipient(t, "P-384").encrypt(t, jwa.ECDH_ES, jwa.A128GCM, nil),
		"foreign RSA":     newRecipient(t, "RSA").encrypt(t, jwa.RSA_OAEP_256, jwa.A128GCM, nil),
		"wrapped, ES":     replace(agreed, 1, part(good, 1)),
		"no wrapped key":  replace(good, 1, ""),
		"wrapped short":   replace(good, 1, "AAAA"),
		"wrapped changed": replace(good, 1, flip(part(good, 1))),
		"nonce changed":   replace(good, 2, flip(part(good, 2))),
		"nonce short":     replace(good, 2, "AAAA"),
		"text changed":    replace(good, 3, flip(part(good, 3))),
		"no text":         replace(good, 3, ""),
		"tag changed":     replace(good, 4, flip(part(good, 4))),
		"tag short":       replace(good, 4, part(good, 4)[:16]),
		"header changed":  replace(good, 0, part(ec.encrypt(t, jwa.ECDH_ES_A128KW, jwa.A128GCM, nil), 0)),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := d.Decrypt(text)
			if !errors.Is(err, jose.ErrDecryption) || got != "" || err.Error() != jose.ErrDecryption.Error() {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	for _, text := range []string{good, agreed} {
		if got, err := d.Decrypt(text); err != nil || got != inner {
			t.Errorf("the good ones: %q, %v", got, err)
		}
	}
}

// flip changes the first character, which has no unused bits.
func flip(part string) string {
	if part[0] == 'A' {
		return "B" + part[1:]
	}
	return "A" + part[1:]
}

// The examples of RFC 7516, appendices A.1 (RSA-OAEP with SHA-1) and A.2 (RSA1_5 and
// CBC) are of kinds that are not accepted, whatever the key.
func TestDecryptRefusesRFC7516(t *testing.T) {
	d := newRecipient(t, "RSA").decrypter(t)
	for name, header := range map[string]string{
		"A.1": "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ",
		"A.2": "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0",
		"A.3": "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0",
	} {
		const rest = ".OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg" +
			".48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A.XFBoMYUZodetZdvTiFvSkQ"
		if got, err := d.Decrypt(header + rest); !errors.Is(err, jose.ErrDecryption) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestDecryptRefusesOffCurvePoints(t *testing.T) {
	r := newRecipient(t, "P-256")
	good := r.encrypt(t, jwa.ECDH_ES, jwa.A128GCM, nil)
	parts := strings.Split(good, ".")
	for _, epk := range []string{
		`{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `"}`,
		`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`,
		`{"kty":"OKP","crv":"P-256","x":"` + strings.Repeat("A", 43) + `"}`,
		`{"kty":"EC","crv":"P-256"}`,
		`{}`,
	} {
		parts[0] = tokentest.Encode([]byte(`{"alg":"ECDH-ES","enc":"A128GCM","epk":` + epk + `}`))
		if got, err := r.decrypter(t).Decrypt(strings.Join(parts, ".")); !errors.Is(err, jose.ErrDecryption) {
			t.Errorf("%s: %q, %v", epk, got, err)
		}
	}
}

func TestDecryptChoosesTheKey(t *testing.T) {
	r := newRecipient(t, "P-256")
	old, err := jose.ParseDecryptionKey(newRecipient(t, "P-256").with(t, map[string]any{"kid": "old", "use": "enc"}))
	if err != nil {
		t.Fatal(err)
	}
	current, err := jose.ParseDecryptionKey(r.with(t, map[string]any{"kid": "new", "alg": "ECDH-ES"}))
	if err != nil {
		t.Fatal(err)
	}
	d := decrypter(t, old, current)
	for name, test := range map[string]struct {
		alg  jwa.KeyEncryptionAlgorithm
		kid  string
		good bool
	}{
		"by kid":           {jwa.ECDH_ES, "new", true},
		"without kid":      {jwa.ECDH_ES, "", true},
		"the other's kid":  {jwa.ECDH_ES, "old", false},
		"unknown kid":      {jwa.ECDH_ES, "x", false},
		"not in the key's": {jwa.ECDH_ES_A128KW, "new", false},
		"not in any key's": {jwa.ECDH_ES_A256KW, "", false},
	} {
		header := map[string]any{}
		if test.kid != "" {
			header["kid"] = test.kid
		}
		got, err := d.Decrypt(r.encrypt(t, test.alg, jwa.A256GCM, header))
		if (err == nil) != test.good || (got == inner) != test.good {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if d, err := jose.NewDecrypter(old, old); err == nil {
		t.Errorf("two keys with one kid: %v", d)
	}
	if d, err := jose.NewDecrypter(); err == nil {
		t.Errorf("no keys: %v", d)
	}
}

func TestDecryptWantsASignedToken(t *testing.T) {
	r := newRecipient(t, "P-256")
	for _, content := range []string{`{"sub":"a"}`, "a.b", "a.b.c.d.e", ""} {
		text, err := jwe.Encrypt([]byte(content), jwe.WithKey(jwa.ECDH_ES, r.public), jwe.WithContentEncryption(jwa.A128GCM))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := r.decrypter(t).Decrypt(string(text)); !errors.Is(err, jose.ErrDecryption) {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
}

func TestParseDecryptionKeyRefuses(t *testing.T) {
	ec, rsaKey := newRecipient(t, "P-256"), newRecipient(t, "RSA")
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file []byte
		ways []jose.KeyManagement
		want string
	}{
		"for signing":    {ec.with(t, map[string]any{"use": "sig"}), nil, "use is not enc"},
		"key_ops":        {ec.with(t, map[string]any{"key_ops": []string{"sign"}}), nil, "key_ops lack"},
		"alg of signing": {ec.with(t, map[string]any{"alg": "ES256"}), nil, "not accepted"},
		"SHA-1":          {rsaKey.with(t, map[string]any{"alg": "RSA-OAEP"}), nil, "not accepted"},
		"contradiction":  {ec.with(t, map[string]any{"alg": "ECDH-ES"}), []jose.KeyManagement{jose.ECDHESA128KW}, "ECDH-ES alone"},
		"way of RSA":     {ec.file, []jose.KeyManagement{jose.RSAOAEP256}, "does not fit its type"},
		"way of EC":      {rsaKey.file, []jose.KeyManagement{jose.ECDHES}, "does not fit its type"},
		"way unknown":    {ec.file, []jose.KeyManagement{"dir"}, "does not fit its type"},
		"Ed25519":        {privatePEM(t, signing), nil, "cannot decrypt"},
		"weak":           {privatePEM(t, weak), nil, "1024 bits"},
		"public":         {tokentest.JSON(tokentest.NewKey(t, "ES256", "").JWK()), nil, "not a private key"},
		"nothing":        {nil, nil, "neither"},
	} {
		key, err := jose.ParseDecryptionKey(test.file, test.ways...)
		if !errors.Is(err, jose.ErrPrivateKey) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v; want %q", name, key, err, test.want)
		}
	}
	for _, name := range []string{"RSA-OAEP", "RSA1_5", "PBES2-HS256+A128KW", "dir", "A128KW", "ecdh-es", ""} {
		if way, err := jose.ParseKeyManagement(name); err == nil {
			t.Errorf("%q is %v", name, way)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	rsaKey, ec := newRecipient(f, "RSA"), newRecipient(f, "P-256")
	d := decrypter(f, rsaKey.key(f), ec.key(f))
	// Encrypted to somebody else: no change to it may open it.
	f.Add(newRecipient(f, "P-256").encrypt(f, jwa.ECDH_ES_A128KW, jwa.A128GCM, nil))
	f.Add(newRecipient(f, "RSA").encrypt(f, jwa.RSA_OAEP_256, jwa.A256GCM, map[string]any{"cty": "JWT"}))
	f.Add(tokentest.Encode([]byte(`{"alg":"ECDH-ES","enc":"A128GCM","epk":{"kty":"EC"},"apu":"AA"}`)) + "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := d.Decrypt(text); !errors.Is(err, jose.ErrDecryption) || got != "" {
			t.Fatalf("%q: %q, %v", text, got, err)
		}
	})
}
