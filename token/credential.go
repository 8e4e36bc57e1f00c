package token

import (
	"fmt"
	"net/http"
	"strings"
)

// MaxLength is the longest Authorization header that is looked at. Header limits
// of servers lie near 8 KiB; what is longer is an attack or a mistake.
const MaxLength = 16 << 10

const authorization = "Authorization"

// Take removes the credential from the request and returns it (RFC 6750, section
// 2.1: the Authorization header; the scheme's name is case-insensitive, RFC 9110,
// section 11.1).
//
// The header is removed in place and whatever comes of it, refusals included:
// error routes and placeholders read this very request, and nothing behind the
// gateway may see the caller's token.
//
// Errors wrap Missing (there is none, or it is of another scheme) or Malformed.
func Take(header http.Header) (Raw, error) {
	values := header[authorization]
	delete(header, authorization)
	switch len(values) {
	case 0:
		return Raw{}, Missing
	case 1:
		return parseBearer(values[0])
	default:
		return Raw{}, fmt.Errorf("%w: more than one Authorization header", Malformed)
	}
}

func parseBearer(value string) (Raw, error) {
	if len(value) > MaxLength {
		return Raw{}, fmt.Errorf("%w: the Authorization header is longer than %d bytes", Malformed, MaxLength)
	}
	scheme, text, _ := strings.Cut(strings.Trim(value, " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Raw{}, fmt.Errorf("%w: the Authorization header is not of the scheme Bearer", Missing)
	}
	text = strings.Trim(text, " \t")
	if text == "" {
		return Raw{}, fmt.Errorf("%w: the Authorization header holds no token", Missing)
	}
	// Two credentials in one header: which of them counts is a question that the
	// gateway and an upstream could answer differently.
	if strings.Contains(text, " ") || strings.Contains(text, "\t") || strings.Contains(text, ",") {
		return Raw{}, fmt.Errorf("%w: the Authorization header holds more than one credential", Malformed)
	}
	return NewRaw(text), nil
}
