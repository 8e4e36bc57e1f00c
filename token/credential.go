package token

import "net/http"

// MaxLength is the longest credential that is looked at. Header limits of servers
// lie near 8 KiB; what is longer is an attack or a mistake.
const MaxLength = 16 << 10

const authorization = "Authorization"

// Take is Sources.Take with the default sources (RFC 6750, section 2.1: the
// Authorization header; the scheme's name is case-insensitive, RFC 9110, section
// 11.1), for a request of which only the header is at hand.
func Take(header http.Header) (Raw, error) {
	found, err := Sources(nil).Take(&http.Request{Header: header})
	return found.Raw, err
}
