package token

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A SourceKind is a part of a request that may carry a credential.
type SourceKind uint8

// The kinds of sources.
const (
	FromHeader SourceKind = iota // a header of its own
	FromCookie                   // one cookie of the Cookie header
	FromQuery                    // one parameter of the query (RFC 6750, section 2.3)
)

// A Source is one place of a request in which a credential may lie.
type Source struct {
	Kind SourceKind
	// Name is the header in canonical form, the cookie or the parameter.
	Name string
	// Scheme is the authentication scheme in front of a header's token, "" for
	// none: the header is the token alone.
	Scheme string
	// OrDPoP accepts the scheme DPoP as well (RFC 9449, section 7.1).
	OrDPoP bool
}

// Sources are the places in which one route looks for a credential. The zero
// value is the Authorization header with the schemes Bearer and DPoP.
type Sources []Source

// schemeDPoP is the scheme of a token that comes with a proof.
const schemeDPoP = "DPoP"

var defaultSources = Sources{{Kind: FromHeader, Name: authorization, Scheme: "Bearer", OrDPoP: true}}

// A Credential is what a request carried.
type Credential struct {
	Raw  Raw
	Kind SourceKind
	// Presented tells that a source held something, be it empty or of another
	// scheme: its caller did not come as nobody.
	Presented bool
	// DPoP tells that the scheme was DPoP: a proof comes with it.
	DPoP bool
}

// Take removes the credential from the request and notes it in found. It is removed in
// place, from every source and whatever comes of it, refusals included: error
// routes and placeholders read this very request. Everything else of the request
// stays as it is, byte for byte.
//
// An Authorization header goes too where no source names it, and makes the
// request malformed: which of two credentials counts is a question that the
// gateway and an upstream could answer differently.
//
// Errors wrap Missing (there is none, or it is of another scheme) or Malformed.
func (s Sources) Take(r *http.Request, found *Credential) error {
	if len(s) == 0 {
		if found.takeBearer(r.Header) {
			return nil
		}
		s = defaultSources
	}
	var (
		first string
		from  Source
		count int
		named bool
	)
	for _, source := range s {
		value, n := source.remove(r)
		if count == 0 {
			first, from = value, source
		}
		count += n
		named = named || source.Kind == FromHeader && source.Name == authorization
	}
	if !named && len(r.Header[authorization]) > 0 {
		delete(r.Header, authorization)
		*found = Credential{Presented: true}
		return fmt.Errorf("%w: an Authorization header where the credential belongs elsewhere", Malformed)
	}
	*found = Credential{Kind: from.Kind, Presented: count > 0}
	switch count {
	case 0:
		return Missing
	case 1:
		var err error
		found.Raw, found.DPoP, err = from.parse(first)
		return err
	default:
		return fmt.Errorf("%w: more than one credential", Malformed)
	}
}

// bearer is how nearly every caller writes the scheme.
const bearer = "Bearer "

// takeBearer takes the credential as nearly every request carries it: one header, the scheme
// as RFC 6750 writes it, one blank and the token. Whatever else there is, parse reads.
func (c *Credential) takeBearer(headers http.Header) bool {
	values := headers[authorization]
	if len(values) != 1 || len(values[0]) > MaxLength || !strings.HasPrefix(values[0], bearer) {
		return false
	}
	text := values[0][len(bearer):]
	if text == "" || !isOne(text) {
		return false
	}
	delete(headers, authorization)
	c.Raw, c.Presented = NewRaw(text), true
	return true
}

// isOne tells whether a text cannot be two credentials. It is long, and each such search is
// quick.
func isOne(text string) bool {
	return strings.IndexByte(text, ' ') < 0 && strings.IndexByte(text, '\t') < 0 && strings.IndexByte(text, ',') < 0
}

// remove takes the source out of the request. It returns the first value and how
// many there were.
func (s Source) remove(r *http.Request) (first string, count int) {
	switch s.Kind {
	case FromCookie:
		return removeCookie(r.Header, s.Name)
	case FromQuery:
		return s.removeFromURL(r)
	default:
		return removeHeader(r.Header, s.Name)
	}
}

// removeHeader removes a header under every spelling that an upstream may fold
// into the same name. Another spelling beside the name itself counts as a second
// value.
func removeHeader(headers http.Header, name string) (first string, count int) {
	take := func(spelling string) {
		values := headers[spelling]
		if count == 0 && len(values) > 0 {
			first = values[0]
		}
		count += len(values)
		delete(headers, spelling)
	}
	take(name)
	if HasAliases(name) {
		for spelling := range headers {
			if SameHeader(spelling, name) {
				take(spelling)
			}
		}
	}
	return first, count
}

// removeCookie removes one cookie from the Cookie header and leaves the others as
// they are (RFC 6265, section 5.4). Names of cookies are case-sensitive.
func removeCookie(headers http.Header, name string) (first string, count int) {
	lines := headers["Cookie"]
	kept := lines[:0:0]
	for _, line := range lines {
		rest, value, n := without(line, ";", func(pair string) (string, bool) {
			found, value, _ := strings.Cut(pair, "=")
			return strings.Trim(value, " \t"), strings.Trim(found, " \t") == name
		})
		if count == 0 {
			first = value
		}
		count += n
		if n > 0 {
			rest = strings.TrimLeft(rest, " \t")
		}
		if rest != "" || n == 0 {
			kept = append(kept, rest)
		}
	}
	switch {
	case count == 0:
	case len(kept) == 0:
		delete(headers, "Cookie")
	default:
		headers["Cookie"] = kept
	}
	return first, count
}

// removeFromURL removes the parameter from the query, and from the request line
// that some handlers read instead.
func (s Source) removeFromURL(r *http.Request) (first string, count int) {
	if r.URL != nil {
		r.URL.RawQuery, first, count = removeParameter(r.URL.RawQuery, s.Name)
	}
	r.RequestURI = s.RemoveFromURI(r.RequestURI)
	return first, count
}

// Removed returns a query without the source's parameter. Sources that are no
// parameter change nothing.
func (s Source) Removed(query string) string {
	if s.Kind != FromQuery {
		return query
	}
	rest, _, _ := removeParameter(query, s.Name)
	return rest
}

// RemoveFromURI is Removed for a whole request target.
func (s Source) RemoveFromURI(uri string) string {
	path, query, ok := strings.Cut(uri, "?")
	if !ok {
		return uri
	}
	rest := s.Removed(query)
	switch rest {
	case query:
		return uri
	case "":
		return path
	default:
		return path + "?" + rest
	}
}

// removeParameter removes a parameter under every percent-encoded spelling of its
// name. The others keep their order and their bytes.
func removeParameter(query, name string) (rest, first string, count int) {
	return without(query, "&", func(pair string) (string, bool) {
		found, value, _ := strings.Cut(pair, "=")
		return value, unescaped(found) == name
	})
}

// unescaped decodes a part of a query as far as it can be decoded: parsers that
// forgive a stray % exist.
func unescaped(text string) string {
	if !strings.ContainsAny(text, "%+") {
		return text
	}
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// without drops the matching parts of a list and returns what is left, the first
// value that was dropped and how many there were.
func without(list, separator string, match func(part string) (value string, ok bool)) (rest, first string, count int) {
	var kept strings.Builder
	parts := 0
	for part := range strings.SplitSeq(list, separator) {
		if value, ok := match(part); ok {
			if count == 0 {
				first = value
			}
			count++
			continue
		}
		if parts > 0 {
			kept.WriteString(separator)
		}
		kept.WriteString(part)
		parts++
	}
	if count == 0 {
		return list, "", 0
	}
	return kept.String(), first, count
}

// parse reads the one value that a source held, and tells whether its scheme was
// DPoP.
func (s Source) parse(value string) (raw Raw, dpop bool, err error) {
	if len(value) > MaxLength {
		return Raw{}, false, fmt.Errorf("%w: the credential is longer than %d bytes", Malformed, MaxLength)
	}
	if s.Kind == FromQuery {
		plain, err := url.QueryUnescape(value)
		if err != nil {
			return Raw{}, false, fmt.Errorf("%w: the parameter is not percent-encoded as it should be", Malformed)
		}
		value = plain
	}
	text := strings.Trim(value, " \t")
	if s.Scheme != "" {
		scheme, rest, _ := strings.Cut(text, " ")
		dpop = strings.EqualFold(scheme, schemeDPoP)
		if !strings.EqualFold(scheme, s.Scheme) && (!dpop || !s.OrDPoP) {
			return Raw{}, false, fmt.Errorf("%w: the header %s is not of the scheme %s", Missing, s.Name, s.Scheme)
		}
		text = strings.Trim(rest, " \t")
	}
	if text == "" {
		return Raw{}, dpop, fmt.Errorf("%w: the place of the credential is empty", Missing)
	}
	// Two credentials in one place: which of them counts is a question that the
	// gateway and an upstream could answer differently.
	if !isOne(text) {
		return Raw{}, dpop, fmt.Errorf("%w: more than one credential in one place", Malformed)
	}
	return NewRaw(text), dpop, nil
}

// HasAliases tells whether a header's name may be spelled in several ways that an
// upstream folds into one; see SameHeader.
func HasAliases(name string) bool {
	for i := range len(name) {
		if c := name[i]; c == '-' || c == '_' || c == '.' {
			return true
		}
	}
	return false
}

// SameHeader tells whether two names of headers are the same once folded: CGI and
// its heirs make no difference between X-Token, X_Token and X.Token. It is asked
// for each header of each request, so it makes no folded copies.
func SameHeader(a, b string) bool {
	a, b = strings.TrimSpace(a), strings.TrimSpace(b)
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if folded(a[i]) != folded(b[i]) {
			return false
		}
	}
	return true
}

func folded(c byte) byte {
	switch {
	case c == '_' || c == '.':
		return '-'
	case c >= 'A' && c <= 'Z':
		return c + ('a' - 'A')
	default:
		return c
	}
}
