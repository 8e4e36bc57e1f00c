package harness

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/crypto/argon2"
)

// ServiceSecret is the secret of clients of a token service, and ServiceHash what
// their configuration has of it, at the least cost that is accepted.
const ServiceSecret = "canary-service-secret"

// ServiceHash returns the Argon2id hash of ServiceSecret.
func ServiceHash() string {
	salt := []byte("0123456789abcdef")
	sum := argon2.IDKey([]byte(ServiceSecret), salt, 1, 7168, 1, 32)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=19$m=7168,t=1,p=1$%s$%s", encode(salt), encode(sum))
}

// Types and grants of token exchange (RFC 8693).
const (
	GrantTokenExchange = tokenExchange
	TypeAccessToken    = "urn:ietf:params:oauth:token-type:access_token"
)

// Post sends a form.
func (g *Gateway) Post(path string, form url.Values) Answer {
	g.tb.Helper()
	return g.Do(g.PostRequest(path, form))
}

// PostRequest makes a request with a form.
func (g *Gateway) PostRequest(path string, form url.Values) *http.Request {
	g.tb.Helper()
	request, err := http.NewRequest(http.MethodPost, g.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		g.tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return request
}

// ServiceForm is a form of a client of a token service, with pairs of names and
// values; a value "" takes a parameter away.
func ServiceForm(client string, pairs ...string) url.Values {
	form := url.Values{"client_id": {client}, "client_secret": {ServiceSecret}}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return form
}

// ExchangeForm is a form that exchanges a token.
func ExchangeForm(client, subject string, pairs ...string) url.Values {
	return ServiceForm(client, append([]string{
		"grant_type", GrantTokenExchange, "subject_token", subject, "subject_token_type", TypeAccessToken,
	}, pairs...)...)
}

// Members reads a JSON object in an answer.
func (a Answer) Members() map[string]any {
	var members map[string]any
	_ = json.Unmarshal([]byte(a.Body), &members)
	return members
}

// AccessToken is the token in an answer of a token endpoint, "" if there is none.
func (a Answer) AccessToken() string {
	token, _ := a.Members()["access_token"].(string)
	return token
}
