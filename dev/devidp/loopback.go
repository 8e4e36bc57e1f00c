package devidp

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/dev/devidp/provider"
)

// errListener is wrapped by every refusal of the place dev_idp was put in.
var errListener = errors.New("dev_idp runs on loopback only")

// requireLoopbackListeners refuses to load unless every address of the server
// this handler belongs to is loopback. Caddy puts the server into the context
// with its addresses already expanded (caddyhttp.App.Provision). Where there is
// no server the listener is unknown, and unknown is refused.
func requireLoopbackListeners(ctx caddy.Context) error {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || len(server.Listen) == 0 {
		return fmt.Errorf("%w: it was loaded outside of an HTTP server with a listener", errListener)
	}
	for _, address := range server.Listen {
		if !isLoopbackListener(address) {
			return fmt.Errorf("%w: the server of this site listens on %q; write `bind 127.0.0.1` in the site or `default_bind 127.0.0.1` in the global options",
				errListener, address)
		}
	}
	return nil
}

// isLoopbackListener accepts TCP and UDP on a loopback IP address or on the
// bare name localhost. Other names would be resolved, by whoever runs the DNS;
// sockets of other kinds may be passed on to anyone.
func isLoopbackListener(address string) bool {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil || parsed.IsUnixNetwork() || parsed.IsFdNetwork() {
		return false
	}
	if parsed.Host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(parsed.Host)
	return err == nil && addr.Unmap().IsLoopback()
}

// fromLoopback checks one request: the address it came in at, where it came
// from, and the name it was sent to. The name stops DNS rebinding: a web page
// whose own name resolves to 127.0.0.1 cannot talk to the provider.
func fromLoopback(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && provider.IsLoopbackAddr(local.String()) &&
		provider.IsLoopbackAddr(r.RemoteAddr) && provider.IsLoopbackName(r.Host)
}
