package proof

import (
	"errors"
	"net/url"
	"strings"
)

var errTarget = errors.New("not an http or https URL")

// withoutQuery cuts query and fragment off, which htu does not have (RFC 9449,
// section 4.2) and comparisons ignore (section 4.3).
func withoutQuery(raw string) string {
	if at := strings.IndexAny(raw, "?#"); at >= 0 {
		return raw[:at]
	}
	return raw
}

// sameTarget tells whether the proof's htu is one of the URLs that the client may
// have called (RFC 9449, section 4.3, step 9).
func sameTarget(htu string, urls []string) bool {
	htu = withoutQuery(htu)
	for _, candidate := range urls {
		if withoutQuery(candidate) == htu {
			return htu != "" // by far the most
		}
	}
	target, err := normalise(htu)
	if err != nil {
		return false
	}
	for _, candidate := range urls {
		if other, err := normalise(withoutQuery(candidate)); err == nil && other == target {
			return true
		}
	}
	return false
}

// normalise returns the one spelling of a URL without query and fragment that
// RFC 3986, sections 6.2.2 and 6.2.3, makes of all its equivalent ones: case of
// scheme and host, default port, empty path, percent-encoding and dot segments.
// Nothing else is folded: %2F is no slash, two slashes are not one.
func normalise(raw string) (string, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	scheme = strings.ToLower(scheme)
	if !ok || (scheme != "http" && scheme != "https") {
		return "", errTarget
	}
	end := strings.IndexByte(rest, '/')
	if end < 0 {
		end = len(rest)
	}
	host, err := normaliseHost(scheme, rest[:end])
	if err != nil {
		return "", err
	}
	path, err := normalisePath(rest[end:])
	if err != nil {
		return "", err
	}
	return scheme + "://" + host + path, nil
}

// normaliseHost accepts host and port alone: a user name has no place in a target.
func normaliseHost(scheme, authority string) (string, error) {
	u, err := url.Parse(scheme + "://" + authority)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Path != "" {
		return "", errTarget
	}
	host := strings.ToLower(strings.TrimSuffix(u.Host, ":"+u.Port()))
	host = strings.TrimSuffix(host, ":")
	defaultPort := map[string]string{"http": "80", "https": "443"}[scheme]
	if port := u.Port(); port != "" && port != defaultPort {
		host += ":" + port
	}
	return host, nil
}

func normalisePath(path string) (string, error) {
	if path == "" {
		return "/", nil
	}
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '%':
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return "", errTarget
			}
			octet := unhex(path[i+1])<<4 | unhex(path[i+2])
			writeOctet(&out, octet, isUnreserved(octet))
			i += 2
		case c <= ' ' || c == 0x7f:
			return "", errTarget
		default:
			// What a URL may not hold as it is means the same encoded.
			writeOctet(&out, c, isUnreserved(c) || strings.IndexByte("/:@!$&'()*+,;=", c) >= 0)
		}
	}
	return withoutDots(out.String()), nil
}

func writeOctet(out *strings.Builder, octet byte, plain bool) {
	const digits = "0123456789ABCDEF"
	if plain {
		out.WriteByte(octet)
		return
	}
	out.Write([]byte{'%', digits[octet>>4], digits[octet&15]})
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0x0f + 9
}

// isUnreserved knows the characters of RFC 3986, section 2.3.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// withoutDots removes dot segments (RFC 3986, section 5.2.4) from a path that
// begins with a slash. Unlike path.Clean it keeps empty segments and the last
// slash.
func withoutDots(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(path[1:], "/")
	var kept []string
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			fallthrough
		case ".":
			if last {
				kept = append(kept, "")
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}
