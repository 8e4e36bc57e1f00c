package config

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Places in which a request may carry a credential.
const (
	FromHeader = "header"
	FromCookie = "cookie"
	FromQuery  = "query"
)

var fromKinds = []string{FromHeader, FromCookie, FromQuery}

const authorizationHeader = "Authorization"

// From is one place in which a request may carry its credential.
type From struct {
	// `header`, `cookie` or `query`. A cookie is believed for safe methods only,
	// unless `Sec-Fetch-Site` or `Origin` show that the site itself sent the
	// request. A parameter of the query is taken from WebSocket handshakes and
	// event streams only. Required.
	Source string `json:"source,omitempty"`

	// The name of the header, the cookie or the parameter. Caddy's access log
	// shows headers other than Authorization and Cookie, and the query. Required.
	Name string `json:"name,omitempty"`

	// The authentication scheme in front of a header's token. Default: for
	// Authorization Bearer and DPoP; for other headers none, the header is the token alone.
	Scheme string `json:"scheme,omitempty"`
}

// Header is the header that carries the credential, in canonical form, "" if it
// is none.
func (f From) Header() string {
	if f.Source != FromHeader {
		return ""
	}
	return http.CanonicalHeaderKey(f.Name)
}

// HeaderScheme is the scheme in front of a header's token, "" for none.
func (f From) HeaderScheme() string {
	if f.Scheme == "" && f.Header() == authorizationHeader {
		return "Bearer"
	}
	return f.Scheme
}

// AcceptsDPoP tells whether the scheme DPoP is accepted: where it is named, and
// beside Bearer where the Authorization header is named without a scheme.
func (f From) AcceptsDPoP() bool {
	return f.Scheme == "" && f.Header() == authorizationHeader || f.onlyDPoP()
}

func (f From) onlyDPoP() bool { return strings.EqualFold(f.Scheme, schemeDPoP) }

// schemeDPoP is the scheme of a token that comes with a proof.
const schemeDPoP = "DPoP"

// Logged tells whether Caddy's access log shows what is written there.
func (f From) Logged() bool {
	return f.Source == FromQuery || f.Source == FromHeader && f.Header() != authorizationHeader
}

// readFrom reads one line `from header <name> [<scheme>] | cookie <name> | query <name>`.
func readFrom(to *[]From) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		const syntax = "write from header <name> [<scheme>], from cookie <name> or from query <name>"
		var from From
		for _, value := range []*string{&from.Source, &from.Name} {
			if err := readOne(value)(d); err != nil {
				return fmt.Errorf("%w: %s", err, syntax)
			}
		}
		if from.Source == FromHeader && d.CountRemainingArgs() > 0 {
			if err := readOne(&from.Scheme)(d); err != nil {
				return err
			}
		}
		*to = append(*to, from)
		return nil
	}
}

func fromSettings(from []From) []setting {
	settings := make([]setting, 0, 3*len(from))
	for i := range from {
		f := &from[i]
		check := checkCookieName
		switch f.Source {
		case FromHeader:
			check = checkSourceHeader
		case FromQuery:
			check = checkParameter
		}
		settings = append(settings, slices.Concat(
			one("from", &f.Source, checkOneOf("source", fromKinds...)),
			one("from", &f.Name, check),
			one("from", &f.Scheme, checkScheme),
		)...)
	}
	return settings
}

// checkFrom refuses what names one place twice, and what is incomplete.
func checkFrom(from []From) error {
	for i, f := range from {
		switch {
		case f.Source == "":
			return errors.New("from: the source is missing: write header, cookie or query")
		case f.Name == "":
			return fmt.Errorf("from: the name of the %s is missing", f.Source)
		case f.Scheme != "" && f.Source != FromHeader:
			return fmt.Errorf("from: a %s has no scheme: leave it out", f.Source)
		}
		if slices.ContainsFunc(from[:i], f.same) {
			return fmt.Errorf("from: the %s %s is named twice", f.Source, f.Name)
		}
	}
	return nil
}

func (f From) same(other From) bool {
	if f.Source == FromHeader {
		return other.Source == FromHeader && strings.EqualFold(foldHeader(f.Name), foldHeader(other.Name))
	}
	return f.Source == other.Source && f.Name == other.Name
}

// foldHeader writes a header's name as those upstreams read it that make no
// difference between dash, underscore and dot.
func foldHeader(name string) string { return strings.NewReplacer("_", "-", ".", "-").Replace(name) }

// checkSourceHeader accepts a header that may carry a credential. Headers that the
// gateway itself reads cannot be taken off the request.
func checkSourceHeader(name string) error {
	if !isHTTPToken(name) {
		return fmt.Errorf("%q is not a header name such as X-Token", name)
	}
	folded := http.CanonicalHeaderKey(foldHeader(name))
	own := []string{"Origin", "Sec-Fetch-Site", "Early-Data", "Accept", proofHeader}
	if folded == "Cookie" {
		return errors.New("the header Cookie holds more than a credential: write from cookie <name>")
	}
	if slices.Contains(reservedHeaders, folded) || slices.Contains(own, folded) {
		return fmt.Errorf("the header %s is reserved for HTTP itself: take the token from another one", name)
	}
	return nil
}

// checkCookieName accepts the name of a cookie (RFC 6265, section 4.1.1).
func checkCookieName(name string) error {
	if !isHTTPToken(name) {
		return fmt.Errorf("%q is not the name of a cookie", name)
	}
	return nil
}

// checkParameter accepts the name of a query parameter, as it reads once decoded.
func checkParameter(name string) error {
	if strings.ContainsAny(name, "&=+%#;? ") {
		return fmt.Errorf("%q is not the name of a parameter: write it as it reads once decoded, without & = + %% # ; ? and blanks", name)
	}
	return checkText(name)
}
