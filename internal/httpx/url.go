package httpx

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// CheckURL parses the address of a server. It accepts https, and http for
// loopback hosts only, where nobody listens on the way (RFC 6749, section 3.2).
// User information and fragments are refused: the one would be a secret in a
// URL, the other never reaches a server.
func CheckURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	switch {
	case u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("not a URL with a host")
	case u.User != nil:
		return nil, errors.New("a URL must not hold a user name or password")
	case u.Fragment != "" || strings.HasSuffix(raw, "#"):
		return nil, errors.New("a URL must not have a fragment")
	case u.Scheme == "https":
		return u, nil
	case u.Scheme == "http" && IsLoopback(u.Hostname()):
		return u, nil
	case u.Scheme == "http":
		return nil, fmt.Errorf("plain http is accepted for loopback hosts only, not for %s; use https", u.Hostname())
	default:
		return nil, errors.New("not an https URL")
	}
}

// IsLoopback tells whether a host name or address without port is this machine
// itself: 127.0.0.0/8, ::1, localhost and names under it (RFC 6761, section 6.3).
func IsLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
