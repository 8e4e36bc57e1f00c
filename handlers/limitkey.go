package handlers

import (
	"net/http"
	"net/netip"
	"strconv"

	"github.com/caddyserver/caddy/v2"
)

// A limitKey are the placeholders of a key, in their order. The text around them is
// the same for all requests, and so parts none from another.
type limitKey []string

// of is what a request is counted by. Each value has its length in front: else a
// caller who shapes two of them could be counted as somebody else.
func (k limitKey) of(r *http.Request) string {
	repl := replacerOf(r.Context())
	if len(k) == 0 || repl == nil {
		return ""
	}
	var key []byte
	for _, name := range k {
		value := ""
		if filled, known := repl.Get(name); known {
			value = caddy.ToString(filled)
		}
		switch {
		case value == "":
			// Callers without the thing must not share one count, which a single one of
			// them could use up. The letter keeps it apart from a caller that is named
			// like an address.
			key = append(key, 'i')
			value = networkOf(clientIP(r))
		case name == "http.vars.client_ip" || name == "http.request.remote.host":
			value = networkOf(value)
		}
		key = append(strconv.AppendInt(key, int64(len(value)), 10), ':')
		key = append(key, value...)
	}
	return string(key)
}

// ipv6Client is how much of an IPv6 address one customer of a provider has at least:
// whoever changes what comes behind it is the same one (RFC 6177).
const ipv6Client = 64

// networkOf is the address of a client, without what it can choose itself.
func networkOf(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	network, err := addr.Prefix(ipv6Client)
	if err != nil {
		return ip
	}
	return network.String()
}
