package handlers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// BenchmarkBound is a request with a remembered token through token_auth: plain,
// bound to a certificate, and bound to a key, with a new ES256 proof each time.
// bare is the check of one ES256 signature by Go itself, which nobody can leave out
// of a proof. They take turns in one run, so that their medians can be compared.
func BenchmarkBound(b *testing.B) {
	house := newHotHouse(b, 1)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := jose.NewSigner(key, "ES256", "")
	if err != nil {
		b.Fatal(err)
	}
	certificate := []byte("a certificate of some length, since only its hash is compared")
	thumb, hash := signer.Public().Thumbprint(), proof.CertificateThumbprint(certificate)
	plain := house.tokens[0]
	byKey := house.sign(map[string]any{"cnf": map[string]any{"jkt": tokentest.Encode(thumb[:])}})
	byCertificate := house.sign(map[string]any{"cnf": map[string]any{"x5t#S256": tokentest.Encode(hash[:])}})
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	chain := through(house.auth, next)

	request := func(held string) (http.ResponseWriter, *http.Request) {
		w, r := house.request(b.Context(), 0)
		r.Header.Set("Authorization", "Bearer "+held)
		return w, r
	}
	kinds := []struct {
		name    string
		request func() (http.ResponseWriter, *http.Request)
		times   []float64
	}{
		{name: "plain", request: func() (http.ResponseWriter, *http.Request) { return request(plain) }},
		{name: "mtls", request: func() (http.ResponseWriter, *http.Request) {
			w, r := request(byCertificate)
			r.TLS = &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{{Raw: certificate}}}
			return w, r
		}},
		{name: "dpop", request: func() (http.ResponseWriter, *http.Request) {
			w, r := request(byKey)
			made, err := proof.Prove(signer, proof.Target{
				Method: http.MethodGet, URL: "http://api.example.com/orders/17", Token: token.NewRaw(byKey),
			})
			if err != nil {
				b.Fatal(err)
			}
			r.Header["Authorization"], r.Header["Dpop"] = []string{"DPoP " + byKey}, []string{made}
			return w, r
		}},
	}
	digest := sha256.Sum256([]byte("signed"))
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	var bare []float64
	for b.Loop() {
		for i := range kinds {
			w, r := kinds[i].request()
			began := time.Now()
			if err := chain.ServeHTTP(w, r); err != nil {
				b.Fatal(err)
			}
			kinds[i].times = append(kinds[i].times, float64(time.Since(began)))
			if status := w.(*hotWriter).status; status != 0 {
				b.Fatalf("%s: refused with %d", kinds[i].name, status)
			}
		}
		began := time.Now()
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			b.Fatal("the signature is wrong")
		}
		bare = append(bare, float64(time.Since(began)))
	}
	for _, kind := range kinds {
		b.ReportMetric(median(kind.times), kind.name+"-ns")
	}
	b.ReportMetric(median(bare), "bare-ns")
}

func median(times []float64) float64 { return slices.Sorted(slices.Values(times))[len(times)/2] }
