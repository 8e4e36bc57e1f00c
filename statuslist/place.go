package statuslist

import (
	"errors"
	"net/url"
	"strings"
)

// Places are where an issuer's lists may lie: origins, or folders of them.
type Places []place

type place struct{ origin, path string }

var (
	errPlace = errors.New("not a plain URL: a scheme, a host and a path")
	errQuery = errors.New("a place has no query")
)

// NewPlaces reads URLs of which each is the beginning of the addresses of lists.
func NewPlaces(prefixes ...string) (Places, error) {
	places := make(Places, 0, len(prefixes))
	for _, prefix := range prefixes {
		if strings.Contains(prefix, "?") {
			return nil, errQuery
		}
		one, err := parse(prefix)
		if err != nil {
			return nil, err
		}
		places = append(places, one)
	}
	return places, nil
}

// OriginOf is the place of everything that lies where a URL does.
func OriginOf(address string) (Places, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" {
		return nil, errPlace
	}
	return Places{{origin: originOf(u), path: "/"}}, nil
}

// Allow tells whether a list may be fetched from an address. An address is compared by
// its parts, never as text alone: https://idp.example is the beginning of
// https://idp.example.evil and of https://idp.example@evil, too.
func (p Places) Allow(address string) bool {
	found, err := parse(address)
	if err != nil {
		return false
	}
	for _, one := range p {
		folder := strings.TrimSuffix(one.path, "/") + "/"
		if found.origin == one.origin && (found.path == one.path || strings.HasPrefix(found.path, folder)) {
			return true
		}
	}
	return false
}

// parse takes an address apart, and only one that all who read it read alike: no user,
// no fragment, no backslash, no dots that lead elsewhere, written out or encoded.
func parse(address string) (place, error) {
	if strings.ContainsFunc(address, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune("\\\"<>^{|}#`", c) }) {
		return place{}, errPlace
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" || u.User != nil || strings.HasSuffix(u.Host, ":") {
		return place{}, errPlace
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	if strings.Contains(path, "//") || leadsElsewhere(u.Path) || leadsElsewhere(path) || hasEncodedPart(path) {
		return place{}, errPlace
	}
	return place{origin: originOf(u), path: path}, nil
}

func originOf(u *url.URL) string {
	return strings.ToLower(u.Scheme) + "://" + strings.ToLower(u.Hostname()) + ":" + port(u)
}

func leadsElsewhere(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." || strings.HasPrefix(segment, "..;") || strings.HasPrefix(segment, ".;") {
			return true
		}
	}
	return false
}

// hasEncodedPart finds encodings of what parts a path: a server may decode them before
// it looks for folders, and then again.
func hasEncodedPart(path string) bool {
	lower := strings.ToLower(path)
	for _, code := range []string{"%2e", "%2f", "%5c", "%25", "%00"} {
		if strings.Contains(lower, code) {
			return true
		}
	}
	return false
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "http"):
		return "80"
	default:
		return "443"
	}
}
