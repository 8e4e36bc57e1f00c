package sts

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/caddy-gatehouse/gatehouse/internal/httpbody"
)

// Bounds of a request's body. A token has 16 KiB at most, and there are two.
const (
	maxBody       = 64 << 10
	maxParameters = 100
	maxToken      = 16 << 10
)

// Parameters of the endpoints (RFC 6749, 7009, 7521, 7662, 8693, 8707 and 9396).
const (
	paramGrant         = "grant_type"
	paramClient        = "client_id"
	paramSecret        = "client_secret"
	paramAssertion     = "client_assertion"
	paramAssertionType = "client_assertion_type"
	paramScope         = "scope"
	paramSubject       = "subject_token"
	paramSubjectType   = "subject_token_type"
	paramActor         = "actor_token"
	paramActorType     = "actor_token_type"
	paramRequestedType = "requested_token_type"
	paramAudience      = "audience"
	paramResource      = "resource"
	paramDetails       = "authorization_details"
	paramToken         = "token"
	paramTokenHint     = "token_type_hint"
)

// parameters are those that are read, true for the two that may be repeated
// (RFC 8693, section 2.1). All others are ignored (RFC 6749, section 3.2).
var parameters = map[string]bool{
	paramGrant: false, paramClient: false, paramSecret: false, paramAssertion: false, paramAssertionType: false,
	paramScope: false, paramSubject: false, paramSubjectType: false, paramActor: false, paramActorType: false,
	paramRequestedType: false, paramAudience: true, paramResource: true, paramDetails: false, paramToken: false,
	paramTokenHint: false,
}

// A form is what a body says. Parameters without a value are not in it (RFC 6749,
// section 3.2).
type form map[string][]string

// get returns the value of a parameter that stands once, "" if it is absent.
func (f form) get(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

var (
	errMethod     = errors.New("the method is not POST")
	errQuery      = errors.New("the URL has a query")
	errMedia      = errors.New("the content type is not application/x-www-form-urlencoded")
	errEncoded    = errors.New("the content is encoded")
	errBody       = errors.New("the body could not be read")
	errLong       = errors.New("the body is longer than 64 KiB")
	errMany       = errors.New("the body has more than 100 parameters")
	errEscape     = errors.New("a parameter is not well encoded")
	errCharacters = errors.New("a parameter holds a control character, or is not UTF-8")
)

// readForm reads the body and nothing else: what stands in the URL is in logs and
// histories, so a query is refused whatever it says.
func readForm(r *http.Request) (form, *Error) {
	switch {
	case r.Method != http.MethodPost:
		return nil, refuse(OutcomeMethod, errMethod)
	case r.URL.RawQuery != "" || r.URL.ForceQuery:
		return nil, refuse(OutcomeInURL, errQuery)
	case len(r.Header["Content-Encoding"]) > 0:
		return nil, refuse(OutcomeMalformed, errEncoded)
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, refuse(OutcomeMalformed, errMedia)
	}
	body, fits, err := httpbody.Read(r.Body, maxBody)
	switch {
	case err != nil:
		return nil, refuse(OutcomeMalformed, errBody)
	case !fits:
		return nil, refuse(OutcomeMalformed, errLong)
	}
	return parseForm(string(body))
}

func parseForm(body string) (form, *Error) {
	found := make(form)
	count := 0
	for pair := range strings.SplitSeq(body, "&") {
		count++
		if count > maxParameters {
			return nil, refuse(OutcomeMalformed, errMany)
		}
		if refused := found.add(pair); refused != nil {
			return nil, refused
		}
	}
	for name, values := range found {
		if values[0] == "" {
			delete(found, name)
		}
	}
	return found, nil
}

// add takes one pair. A parameter without a value counts when it is repeated: two
// readers would not agree on which of them is meant.
func (f form) add(pair string) *Error {
	left, right, _ := strings.Cut(pair, "=")
	name, err := url.QueryUnescape(left)
	if err != nil {
		return refuse(OutcomeMalformed, errEscape)
	}
	value, err := url.QueryUnescape(right)
	if err != nil {
		return refuse(OutcomeMalformed, errEscape)
	}
	repeats, known := parameters[name]
	switch {
	case !known:
		return nil
	case !utf8.ValidString(value) || strings.ContainsFunc(value, isControl):
		return refuse(OutcomeMalformed, errCharacters)
	case repeats && value == "":
		return nil
	case !repeats && len(f[name]) > 0:
		return refuse(OutcomeRepeated, errors.New(name+" is repeated"))
	}
	f[name] = append(f[name], value)
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
