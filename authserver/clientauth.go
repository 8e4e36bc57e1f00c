package authserver

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
)

// A ClientAuth is how a client proves itself at a token endpoint (RFC 6749,
// section 2.3). The methods are in this package: each must add exactly one proof
// to a request, and a request must carry no other.
type ClientAuth interface {
	// authenticate adds the proof to one attempt. It is called anew for each: an
	// assertion is good once (RFC 7523, section 3).
	authenticate(ctx context.Context, attempt *attempt) error
	// keyID names the method and, where there is one, the key. It is part of
	// cache keys and never holds a secret.
	keyID() string
	// check says at load what would fail at the first request.
	check() error
}

// An attempt is one request to a token endpoint while it is being made.
type attempt struct {
	clientID string
	endpoint string
	issuer   string // "" where only the endpoint is configured
	form     url.Values
	header   http.Header
}

var errNoSecret = errors.New("the secret is empty")

// Basic proves the client by its secret in the Authorization header
// (client_secret_basic).
func Basic(secret Secret) ClientAuth { return basicAuth{secret} }

type basicAuth struct{ secret Secret }

func (a basicAuth) authenticate(_ context.Context, attempt *attempt) error {
	// RFC 6749, section 2.3.1: both parts are form-encoded before they are
	// joined, or an identifier with a colon would end at it.
	pair := url.QueryEscape(attempt.clientID) + ":" + url.QueryEscape(a.secret.Reveal())
	attempt.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	return nil
}

func (basicAuth) keyID() string { return "basic" }

func (a basicAuth) check() error { return checkSecret(a.secret) }

// Post proves the client by its secret in the request's body
// (client_secret_post).
func Post(secret Secret) ClientAuth { return postAuth{secret} }

type postAuth struct{ secret Secret }

func (a postAuth) authenticate(_ context.Context, attempt *attempt) error {
	attempt.form.Set("client_id", attempt.clientID)
	attempt.form.Set("client_secret", a.secret.Reveal())
	return nil
}

func (postAuth) keyID() string { return "post" }

func (a postAuth) check() error { return checkSecret(a.secret) }

func checkSecret(secret Secret) error {
	if secret.IsZero() {
		return errNoSecret
	}
	return nil
}
