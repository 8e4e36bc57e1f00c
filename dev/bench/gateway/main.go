// Command gateway is the Caddy that the benchmark measures: the one that users build,
// and one handler more, which signs once for each request and does nothing else. Beside
// a bare gateway it tells what a signature costs in Caddy, where between two of them
// everything else passes through the processor's caches. In a loop it costs less.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gatehouse/gatehouse"
)

func main() {
	caddy.RegisterModule(new(signOnce))
	httpcaddyfile.RegisterHandlerDirective("bench_sign", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return new(signOnce), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("bench_sign", httpcaddyfile.Before, "reverse_proxy")
	caddycmd.Main()
}

// signOnce makes one ES256 signature for each request, by Go itself.
type signOnce struct{ key *ecdsa.PrivateKey }

// CaddyModule implements caddy.Module.
func (*signOnce) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.bench_sign", New: func() caddy.Module { return new(signOnce) }}
}

// Provision implements caddy.Provisioner.
func (s *signOnce) Provision(caddy.Context) (err error) {
	s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return err
}

// ServeHTTP implements caddyhttp.MiddlewareHandler. What is signed is another text for
// each request, as a token is.
func (s *signOnce) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	digest := sha256.Sum256([]byte(r.RemoteAddr + r.URL.Path))
	if _, err := ecdsa.SignASN1(rand.Reader, s.key, digest[:]); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	return next.ServeHTTP(w, r)
}
