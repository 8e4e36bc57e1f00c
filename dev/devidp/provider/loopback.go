package provider

import (
	"net"
	"net/netip"
	"strings"
)

// IsLoopbackName reports whether host, with or without a port, names this
// machine to itself: localhost, any name below .localhost (RFC 6761, section
// 6.3), an address of 127.0.0.0/8, or ::1. Nothing is resolved: a name that
// merely resolves to 127.0.0.1 is how DNS rebinding works.
func IsLoopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// IsLoopbackAddr reports whether a connection's address, as net.Addr.String
// gives it, lies on the loopback interface. Names are not accepted here.
func IsLoopbackAddr(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
