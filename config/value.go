package config

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// anyAudience is the word that accepts every audience.
const anyAudience = "any"

var errEmpty = errors.New("the value is empty")

// checkText accepts any text that can stand in a form, a header or a log line.
func checkText(text string) error {
	if text == "" {
		return errEmpty
	}
	if i := strings.IndexFunc(text, isControl); i >= 0 {
		return errors.New("the value holds a line break or another control character")
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// checkName accepts what can name a block. A slash tells a URL from a name and
// parts `<issuer name>/<sub>`; the others begin Caddy's matchers. Names are not
// expanded, so braces would only look as if.
func checkName(name string) error {
	if name == "" {
		return errors.New("the name is empty")
	}
	if strings.Contains(name, "://") {
		return errors.New("a URL stands where a name belongs")
	}
	if strings.ContainsAny(name, "/*@{} \"") || strings.IndexFunc(name, isControl) >= 0 {
		return fmt.Errorf("%q is not a name: names hold no / * @ { } quotes or blanks", name)
	}
	return nil
}

// isURL tells a URL from a name.
func isURL(ref string) bool { return strings.Contains(ref, "/") }

// checkRef accepts an issuer by its name or its URL.
func checkRef(ref string) error {
	if isURL(ref) {
		return checkIssuerURL(ref)
	}
	return checkName(ref)
}

// checkIssuerURL accepts an issuer identifier: no query and no fragment
// (RFC 8414, section 2).
func checkIssuerURL(text string) error {
	if strings.ContainsAny(text, "?#") {
		return errors.New("an issuer URL has no query and no fragment: write it exactly as the tokens' iss claim has it")
	}
	return checkURL(text)
}

// checkURL accepts a URL that the gateway may call: over TLS, or on this very
// host. User names in it would end up in logs.
func checkURL(text string) error { return checkURLIn(text, text) }

// checkURLIn is checkURL for a URL that may be a secret. If it is not what is
// written, but came out of a placeholder there, messages show the placeholder only.
func checkURLIn(text, written string) error {
	value, name := strconv.Quote(text), "the URL "+strconv.Quote(text)
	if text != written {
		value, name = "the value of "+written, "the URL in "+written
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || isControl(r) }):
		return errors.New("the value is not a URL: write https://…")
	case u.User != nil:
		return errors.New("the URL holds a user name or a password: leave them out")
	case strings.Contains(text, "#"):
		return fmt.Errorf("%s holds a fragment: leave out what begins with #", name)
	case u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("%s is not an https URL: write https://…", value)
	case u.Hostname() == "":
		return fmt.Errorf("%s has no host: write https://…", name)
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return fmt.Errorf("%s is plain http: write https, or use a loopback host", name)
	}
	return nil
}

// isLoopback tells whether the host is this machine by its very name:
// 127.0.0.0/8, ::1, localhost and names under it (RFC 6761, section 6.3).
func isLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback()
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// checkKeySource accepts the URL or the file of a key set.
func checkKeySource(text string) error {
	if strings.Contains(text, "://") {
		return checkURL(text)
	}
	return checkText(text)
}

// checkResource accepts a resource indicator: an absolute URI without fragment
// (RFC 8707, section 2). It is an identifier and never called, so any scheme is
// good.
func checkResource(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || isControl(r) }):
		return errors.New("the value is not a URI: write an absolute one such as https://api.example.com")
	case !u.IsAbs() || (u.Opaque == "" && u.Host == "" && u.Path == ""):
		return fmt.Errorf("%q is not an absolute URI such as https://api.example.com or urn:example:api; plain names belong in audience", text)
	case strings.Contains(text, "#"):
		return fmt.Errorf("the URI %q holds a fragment: leave out what begins with #", text)
	}
	return nil
}

// checkScope accepts one scope token (RFC 6749, section 3.3), but for those that are a
// slip in a list.
func checkScope(text string) error {
	if text == "" {
		return errEmpty
	}
	for _, r := range text {
		if r <= ' ' || r >= 0x7f || r == '"' || r == '\\' {
			return fmt.Errorf("%q is not a scope: scopes are printable ASCII without blank, quote and backslash, each a word of its own", text)
		}
	}
	// Allowed by the grammar, and nobody's scope: it would be missing in every token, and
	// within not let everybody pass.
	if plain, comma := strings.CutSuffix(text, ","); comma {
		return fmt.Errorf("%q ends with a comma: several scopes are parted by blanks alone, so write %s", text, plain)
	}
	return nil
}

// checkAlgorithm accepts a signature algorithm by its registered name.
func checkAlgorithm(text string) error {
	if _, err := jose.ParseAlgorithm(text); err == nil {
		return nil
	}
	if strings.EqualFold(text, "none") {
		return errors.New("none is no signature: name the algorithms that the issuer signs with")
	}
	var known []string
	for _, alg := range slices.Concat(jose.Asymmetric(), jose.Symmetric()) {
		known = append(known, string(alg))
	}
	return unknown("algorithm", text, known)
}

// checkKeyAlgorithm accepts an algorithm whose verification key may be public.
func checkKeyAlgorithm(text string) error {
	if strings.HasPrefix(text, "HS") {
		return fmt.Errorf("%s signs with a shared secret, and only asymmetric algorithms go with a key: %v", text, jose.Asymmetric())
	}
	if _, err := jose.ParseAlgorithm(text); err == nil {
		return nil
	}
	known := make([]string, 0, len(jose.Asymmetric()))
	for _, alg := range jose.Asymmetric() {
		known = append(known, string(alg))
	}
	return unknown("algorithm", text, known)
}

// checkPath accepts a path to a claim. One that begins with a slash is a JSON
// Pointer, in which ~ only stands before 0 and 1 (RFC 6901, section 3).
func checkPath(path string) error {
	if err := checkText(path); err != nil {
		return err
	}
	if strings.HasPrefix(path, "/") &&
		strings.Contains(strings.NewReplacer("~0", "", "~1", "").Replace(path), "~") {
		return fmt.Errorf("%q is not a JSON Pointer: ~ is written ~0", path)
	}
	return checkDecisive(path)
}

// checkDecisive refuses a path at which no token has anything to decide by: a rule with it
// would deny everybody, and within not let everybody pass.
func checkDecisive(path string) error {
	if token.FormerActor(path) {
		return fmt.Errorf("%q leads to a former actor, by whom nothing is decided (RFC 8693, section 4.1): write act.sub for the current one", path)
	}
	return nil
}

// checkAsked looks at the claims whose placeholders stand in a text that requests fill.
func checkAsked(text string) error {
	for _, kind := range []string{"claim.", "has."} {
		for _, after := range strings.Split(text, "{http.auth.user."+kind)[1:] {
			path, _, _ := strings.Cut(after, "}")
			if err := checkDecisive(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkOneOf returns a check for a closed choice.
func checkOneOf(kind string, choices ...string) func(string) error {
	return func(text string) error {
		if !slices.Contains(choices, text) {
			return unknown(kind, text, choices)
		}
		return nil
	}
}

// reservedHeaders belong to the connection, to the message's framing or to the
// proxy: written by hand they break the request or never arrive (RFC 9110,
// section 7.6.1).
var reservedHeaders = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
	"Host", "Content-Length", "Content-Type", "Content-Encoding", "Expect", "Cookie",
	"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
}

// checkInjectHeader accepts a request header that may carry a token.
func checkInjectHeader(name string) error {
	if !isHTTPToken(name) {
		return fmt.Errorf("%q is not a header name such as X-Token", name)
	}
	// Upstreams may read X_Forwarded_For as X-Forwarded-For.
	dashed := strings.NewReplacer("_", "-", ".", "-").Replace(name)
	if slices.Contains(reservedHeaders, http.CanonicalHeaderKey(dashed)) {
		return fmt.Errorf("the header %s is reserved for HTTP itself: inject the token into another one", name)
	}
	return nil
}

// checkScheme accepts the name of an authentication scheme (RFC 9110,
// section 11.1).
func checkScheme(name string) error {
	if !isHTTPToken(name) {
		return fmt.Errorf("%q is not an authentication scheme such as Bearer", name)
	}
	return nil
}

// isHTTPToken tells whether the text is a token of RFC 9110, section 5.6.2.
func isHTTPToken(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool {
		alnum := r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		return !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) < 0
}
