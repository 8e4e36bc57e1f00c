package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// resourceWellKnown is where the metadata of a protected resource lies
// (RFC 9728, section 3).
const resourceWellKnown = "/.well-known/oauth-protected-resource"

// ResourceMetadataURL returns the URL of the metadata of a protected resource: the
// well-known path stands between the host and the rest of its identifier
// (RFC 9728, section 3.1). The slash of a path that is nothing else is dropped; a
// query stays. It returns "" for what is not an absolute URL.
func ResourceMetadataURL(resource string) string {
	u, err := url.Parse(resource)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	path := u.EscapedPath()
	if path == "/" {
		path = ""
	}
	location := strings.ToLower(u.Scheme) + "://" + u.Host + resourceWellKnown + path
	if u.RawQuery != "" {
		location += "?" + u.RawQuery
	}
	return location
}

// checkResourceURL accepts the identifier of a protected resource: a URL that its
// metadata can be found by. A query would be part of the metadata's own address,
// which RFC 9728, section 1.2, advises against. It goes into challenges, whose
// characters are few.
func checkResourceURL(text string) error {
	if strings.Contains(text, "?") {
		return fmt.Errorf("the URL %q holds a query: name the API by a path", text)
	}
	if err := checkURL(text); err != nil {
		return err
	}
	return checkQuotable(text)
}

// checkQuotable accepts what can stand between the quotes of a challenge
// (RFC 6750, section 3).
func checkQuotable(text string) error {
	if text == "" {
		return errEmpty
	}
	for _, r := range text {
		if r < ' ' || r > '~' {
			return errors.New("the value holds a character that is not printable ASCII, which no challenge can hold")
		}
		if r == '"' || r == '\\' {
			return fmt.Errorf("the value holds %q, which would end the text in a challenge: leave it out", string(r))
		}
	}
	return nil
}
