package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An Answer is a whole answer.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// client makes the demo's requests: to the API as a caller, to the provider's
// /dev and to Caddy's admin endpoint as the one who stages the play.
type client struct {
	http   *http.Client
	faults string
}

func newClient(faultsToken string) *client {
	return &client{faults: faultsToken, http: &http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{MaxIdleConnsPerHost: 2 * callers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// call asks a path of the API, with a bearer token if there is one.
func (c *client) call(ctx context.Context, path, token string) (Answer, error) {
	return c.do(ctx, http.MethodGet, apiURL+path, token, nil)
}

// dev asks a path of the provider's /dev, with its own guard.
func (c *client) dev(ctx context.Context, method, path string, form url.Values) (string, error) {
	a, err := c.do(ctx, method, providerURL+"/dev/"+path, c.faults, form)
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("asking the provider's /dev/%s: %d %s", path, a.Status, a.Body)
	}
	return a.Body, err
}

func (c *client) do(ctx context.Context, method, to, token string, form url.Values) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, to, strings.NewReader(form.Encode()))
	if err != nil {
		return Answer{}, err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return c.send(request)
}

func (c *client) send(request *http.Request) (Answer, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	return Answer{response.StatusCode, response.Header, string(body)}, errors.Join(err, response.Body.Close())
}

// mint gets one of alice's tokens, made for the quickstart's API if no other
// audience is named.
func (c *client) mint(ctx context.Context, scope, audience string) (JWT, error) {
	form := url.Values{"sub": {"alice"}, "client_id": {"web"}, "scope": {scope}}
	if audience != "" {
		form.Set("audience", audience)
	}
	body, err := c.dev(ctx, http.MethodPost, "token", form)
	if err != nil {
		return JWT{}, err
	}
	var issued struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &issued); err != nil {
		return JWT{}, err
	}
	return DecodeJWT(issued.Token)
}

// fault makes the provider misbehave, or works on its keys.
func (c *client) fault(ctx context.Context, form url.Values) error {
	_, err := c.dev(ctx, http.MethodPost, "faults", form)
	return err
}

// repair ends all faults.
func (c *client) repair(ctx context.Context) error {
	_, err := c.dev(ctx, http.MethodDelete, "faults", nil)
	return err
}

// asked is what the provider was asked so far.
type asked struct {
	Requests map[string]int `json:"requests"`
	Grants   map[string]int `json:"grants"`
}

func (a asked) exchanges() int { return a.Grants["urn:ietf:params:oauth:grant-type:token-exchange"] }

func (a asked) keySets() int { return a.Requests["jwks"] }

func (c *client) asked(ctx context.Context) (asked, error) {
	body, err := c.dev(ctx, http.MethodGet, "stats", nil)
	if err != nil {
		return asked{}, err
	}
	var a asked
	err = json.Unmarshal([]byte(body), &a)
	return a, err
}
