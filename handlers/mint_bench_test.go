package handlers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/signing"
)

// BenchmarkMinted is a request for whose upstream a token is minted, through all
// three directives: one signature a request, and with the cache none. signature is
// one by Go itself.
func BenchmarkMinted(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := jose.NewSigner(key, jose.ES256, "k1")
	if err != nil {
		b.Fatal(err)
	}
	for _, kept := range []struct {
		name    string
		entries int
	}{{"off", 0}, {"cached", 1000}} {
		b.Run(kept.name, func(b *testing.B) {
			house := newHotHouse(b, 1)
			state := exchange.NewState(kept.entries, exchange.DefaultCacheBytes)
			b.Cleanup(state.Close)
			house.exchange.exchanger, err = exchange.New(exchange.Config{
				Leg:   exchange.Leg{Grant: exchange.GrantLocal, Audience: []string{"orders"}, Scope: []string{"orders:read"}},
				Local: &exchange.Local{Minter: signing.NewMinter(signing.Fixed(signer), "https://gateway.example.com", nil)},
				State: state, Scheme: "Bearer",
			})
			if err != nil {
				b.Fatal(err)
			}
			next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
			house.run(b, through(house.auth, through(house.require, through(house.exchange, next))))
		})
	}
	b.Run("signature", func(b *testing.B) {
		digest := sha256.Sum256([]byte("signed"))
		for b.Loop() {
			if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
