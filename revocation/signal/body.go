package signal

import (
	"errors"
	"mime"
	"net/http"
	"net/url"

	"github.com/caddy-gatehouse/gatehouse/internal/httpbody"
)

// maxToken bounds a token; maxBody a form with one in it.
const (
	maxToken = 16 << 10
	maxBody  = 32 << 10
)

var (
	errMethod  = errors.New("the method is not POST")
	errMedia   = errors.New("the content type is another")
	errEncoded = errors.New("the content is encoded")
	errBody    = errors.New("the body could not be read")
	errLong    = errors.New("it is too long")
	errForm    = errors.New("the body is not a form")
	errOne     = errors.New("the form does not hold one logout_token")
)

// readBody reads the body of a POST of that media type.
func readBody(r *http.Request, media string, most int64) ([]byte, *Refusal) {
	if r.Method != http.MethodPost {
		return nil, Refuse(OutcomeMethod, errMethod)
	}
	found, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil || found != media:
		return nil, Refuse(OutcomeMalformed, errMedia)
	case len(r.Header["Content-Encoding"]) > 0:
		return nil, Refuse(OutcomeMalformed, errEncoded)
	}
	body, fits, err := httpbody.Read(r.Body, most)
	switch {
	case err != nil:
		return nil, Refuse(OutcomeMalformed, errBody)
	case !fits:
		return nil, Refuse(OutcomeMalformed, errLong)
	}
	return body, nil
}

// readLogoutToken reads the form of OpenID Connect Back-Channel Logout 1.0, section
// 2.5. Other parameters are ignored, as it says.
func readLogoutToken(r *http.Request) (string, *Refusal) {
	body, refused := readBody(r, "application/x-www-form-urlencoded", maxBody)
	if refused != nil {
		return "", refused
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", Refuse(OutcomeMalformed, errForm)
	}
	if tokens := form["logout_token"]; len(tokens) == 1 {
		return tokens[0], nil
	}
	return "", Refuse(OutcomeMalformed, errOne)
}

// readSET reads the body of a push delivery (RFC 8935, section 2.1).
func readSET(r *http.Request) (string, *Refusal) {
	body, refused := readBody(r, "application/secevent+jwt", maxToken)
	return string(body), refused
}
