package proof_test

import (
	"encoding/base64"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// The certificate of RFC 8705, appendix A, and its thumbprint.
const (
	certificatePEM = `-----BEGIN CERTIFICATE-----
MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx
ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqG
SM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ
/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwID
SQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV
bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=
-----END CERTIFICATE-----`
	certificateX5T = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
)

// The Client-Cert field of RFC 9440, appendix A.
const clientCert = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:"

func certificate(tb testing.TB) []byte {
	tb.Helper()
	block, _ := pem.Decode([]byte(certificatePEM))
	if block == nil {
		tb.Fatal("no certificate")
	}
	return block.Bytes
}

func TestCertificateThumbprintRFC8705(t *testing.T) {
	thumb := proof.CertificateThumbprint(certificate(t))
	if got := tokentest.Encode(thumb[:]); got != certificateX5T {
		t.Errorf("got %s", got)
	}
}

// TestSender is the table of who may present what.
func TestSender(t *testing.T) {
	c := newClient(t, "ES256")
	der := certificate(t)
	key, cert := c.thumbprint(t), proof.CertificateThumbprint(der)
	none, byKey := token.Confirmation{}, token.Confirmation{Key: key}
	byCert, byBoth := token.Confirmation{Certificate: cert}, token.Confirmation{Key: key, Certificate: cert}
	other := slices.Clone(der)
	other[len(other)-1]++
	both := proof.Kinds{DPoP: true, MTLS: true}
	for name, test := range map[string]struct {
		bound    token.Confirmation
		required proof.Kinds
		dpop     bool // under the scheme DPoP and with a good proof
		der      []byte
		want     error
		shown    proof.Kinds
	}{
		"bearer":                           {bound: none},
		"bearer with a certificate":        {bound: none, der: der},
		"bearer under DPoP":                {bound: none, dpop: true, want: proof.NotBound},
		"bearer where DPoP is required":    {bound: none, required: proof.Kinds{DPoP: true}, want: proof.NotConstrained},
		"bearer where one is required":     {bound: none, required: both, der: der, want: proof.NotConstrained},
		"key as bearer":                    {bound: byKey, want: proof.PlainBearer},
		"key as bearer with certificate":   {bound: byKey, der: der, want: proof.PlainBearer},
		"key with proof":                   {bound: byKey, dpop: true, shown: proof.Kinds{DPoP: true}},
		"key where DPoP is required":       {bound: byKey, dpop: true, required: proof.Kinds{DPoP: true}, shown: proof.Kinds{DPoP: true}},
		"key where mTLS is required":       {bound: byKey, dpop: true, der: der, required: proof.Kinds{MTLS: true}, want: proof.NotConstrained},
		"certificate":                      {bound: byCert, der: der, shown: proof.Kinds{MTLS: true}},
		"certificate absent":               {bound: byCert, want: proof.NoCertificate},
		"another certificate":              {bound: byCert, der: other, want: proof.WrongCertificate},
		"certificate under DPoP":           {bound: byCert, dpop: true, der: der, want: proof.NotBound},
		"certificate where it is required": {bound: byCert, der: der, required: both, shown: proof.Kinds{MTLS: true}},
		"certificate where DPoP is":        {bound: byCert, der: der, required: proof.Kinds{DPoP: true}, want: proof.NotConstrained},
		"both":                             {bound: byBoth, dpop: true, der: der, shown: both},
		"both without proof":               {bound: byBoth, der: der, want: proof.PlainBearer},
		"both without certificate":         {bound: byBoth, dpop: true, want: proof.NoCertificate},
	} {
		t.Run(name, func(t *testing.T) {
			sender, err := proof.NewSender(newDPoP(t, proof.DPoPConfig{}), test.required)
			if err != nil {
				t.Fatal(err)
			}
			p := proof.Presentation{DPoP: test.dpop, Method: "GET", URLs: []string{target}, Certificate: test.der}
			if test.dpop {
				p.Proofs = []string{c.prove(nil, nil)}
			}
			shown, err := sender.Check(t.Context(), c.raw.Digest(), test.bound, p)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || shown.Kinds != test.shown {
				t.Errorf("got %+v, %v; want %+v, %v", shown, err, test.shown, test.want)
			}
			// What is let pass without a look is what would pass, and show nothing.
			if sender.Indifferent(&test.bound) && !test.dpop && (err != nil || shown != proof.Shown{}) {
				t.Errorf("indifferent, and yet %+v, %v", shown, err)
			}
		})
	}
}

func TestSenderWantsTheProofOfTheToken(t *testing.T) {
	c, thief := newClient(t, "ES256"), newClient(t, "ES256")
	sender, err := proof.NewSender(newDPoP(t, proof.DPoPConfig{}), proof.Kinds{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(raw token.Digest, proofs ...string) error {
		_, err := sender.Check(t.Context(), raw, token.Confirmation{Key: c.thumbprint(t)}, proof.Presentation{
			DPoP: true, Proofs: proofs, Method: "GET", URLs: []string{target},
		})
		return err
	}
	if err := check(c.raw.Digest()); !errors.Is(err, proof.MissingProof) {
		t.Errorf("without proof: %v", err)
	}
	if err := check(c.raw.Digest(), thief.prove(nil, map[string]any{"ath": hashOf(c.raw)})); !errors.Is(err, proof.WrongKey) {
		t.Errorf("a thief's proof: %v", err)
	}
	if err := check(token.Digest{}, c.prove(nil, map[string]any{"ath": nil})); !errors.Is(err, proof.BadProof) {
		t.Errorf("without a digest: %v", err)
	}
	good := c.prove(nil, nil)
	if err := check(c.raw.Digest(), good); err != nil {
		t.Error(err)
	}
	if err := check(c.raw.Digest(), good); !errors.Is(err, proof.Replayed) {
		t.Errorf("again: %v", err)
	}
}

func TestParseClientCert(t *testing.T) {
	der, err := proof.ParseClientCert([]string{" " + clientCert + " "})
	if err != nil || ":"+base64.StdEncoding.EncodeToString(der)+":" != clientCert {
		t.Errorf("the example: %v", err)
	}
	if der, err := proof.ParseClientCert(nil); der != nil || err != nil {
		t.Errorf("no field: %v, %v", der, err)
	}
	bare := strings.Trim(clientCert, ":")
	encode := base64.StdEncoding.EncodeToString
	der = append(der, 0)
	for name, values := range map[string][]string{
		"empty":             {""},
		"two":               {clientCert, clientCert},
		"joined":            {clientCert + ", " + clientCert},
		"no colons":         {bare},
		"one colon":         {":" + bare},
		"a colon":           {":"},
		"nothing inside":    {"::"},
		"parameters":        {clientCert + ";a=1"},
		"a string":          {`"` + bare + `"`},
		"PEM":               {certificatePEM},
		"PEM, URL-encoded":  {"-----BEGIN%20CERTIFICATE-----"},
		"URL-safe alphabet": {strings.NewReplacer("+", "-", "/", "_").Replace(clientCert)},
		"no padding":        {strings.Replace(clientCert, "=", "", 1)},
		"trailing bits":     {strings.Replace(clientCert, "hk=:", "hl=:", 1)},
		"line break":        {strings.Replace(clientCert, "MIIB", "MI\nIB", 1)},
		"blank inside":      {strings.Replace(clientCert, "MIIB", "MI IB", 1)},
		"not DER":           {":" + encode([]byte("hello")) + ":"},
		"trailing octet":    {":" + encode(der) + ":"},
		"cut short":         {":" + encode(der[:len(der)-2]) + ":"},
		"empty sequence":    {":" + encode([]byte{0x30, 0}) + ":"},
		"an integer":        {":" + encode([]byte{2, 1, 1}) + ":"},
		"huge":              {":" + strings.Repeat("A", 1<<20) + ":"},
	} {
		if der, err := proof.ParseClientCert(values); !errors.Is(err, proof.ErrClientCert) || der != nil {
			t.Errorf("%s: %v, %v", name, der, err)
		}
	}
}

func FuzzClientCert(f *testing.F) {
	f.Add(clientCert)
	f.Add(":MAMCAQE=:")
	f.Fuzz(func(t *testing.T, text string) {
		der, err := proof.ParseClientCert([]string{text})
		if err != nil {
			return
		}
		// One certificate has one spelling, blanks around it aside.
		if ":"+base64.StdEncoding.EncodeToString(der)+":" != strings.Trim(text, " ") || len(der) == 0 {
			t.Fatalf("%q became %x", text, der)
		}
	})
}

func BenchmarkMTLS(b *testing.B) {
	sender, err := proof.NewSender(newDPoP(b, proof.DPoPConfig{}), proof.Kinds{MTLS: true})
	if err != nil {
		b.Fatal(err)
	}
	der := certificate(b)
	bound := token.Confirmation{Certificate: proof.CertificateThumbprint(der)}
	digest := token.NewRaw("a token").Digest()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sender.Check(b.Context(), digest, bound, proof.Presentation{Certificate: der}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClientCert(b *testing.B) {
	b.ReportAllocs()
	values := []string{clientCert}
	for b.Loop() {
		if _, err := proof.ParseClientCert(values); err != nil {
			b.Fatal(err)
		}
	}
}
