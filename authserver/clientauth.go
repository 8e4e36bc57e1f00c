package authserver

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"
)

// A ClientAuth is how a client proves itself at an authorization server (RFC
// 6749, section 2.3). The methods are in this package: each adds exactly one
// proof to a request, and a request must carry no other.
type ClientAuth interface {
	// authenticate adds the proof to one attempt. It is called anew for each: an
	// assertion is good once (RFC 7523, section 3).
	authenticate(ctx context.Context, attempt *attempt) error
	// keyID names the method and, where there is one, the key. It is part of
	// cache keys and never holds a secret.
	keyID() string
	// check says at load what would fail at the first request.
	check(options ClientOptions) error
	// refused is told that the server did not accept the proof of an attempt. It
	// reads the credentials again, and tells whether there is another to try.
	refused(attempt *attempt) bool
	// accepted is told that the server accepted the proof of a second attempt.
	accepted(attempt *attempt)
}

// An attempt is one request to an endpoint while it is being made.
type attempt struct {
	clientID string
	endpoint string
	issuer   string // "" where only the endpoint is configured
	now      time.Time
	form     url.Values
	header   http.Header

	// proof is which of several credentials was used: its index, and what tells
	// it from an earlier content of the same file.
	proof proof
	// avoid is the credential that the attempt before this one used.
	avoid *proof
}

type proof struct {
	index   int
	content any // comparable
}

// single is what the methods with one credential that never changes have in
// common.
type single struct{}

func (single) check(ClientOptions) error { return nil }
func (single) refused(*attempt) bool     { return false }
func (single) accepted(*attempt)         {}

// None sends the client's identifier alone: whoever holds a token can do at the
// server what the gateway can.
func None() ClientAuth { return noneAuth{} }

type noneAuth struct{ single }

func (noneAuth) authenticate(_ context.Context, attempt *attempt) error {
	attempt.form.Set("client_id", attempt.clientID)
	return nil
}

func (noneAuth) keyID() string { return "none" }

// Basic proves the client by its secret in the Authorization header
// (client_secret_basic). Two secrets are old and new while they rotate; see
// NewSecretFile for one that lies in a file.
func Basic(secrets ...SecretSource) ClientAuth {
	return &secretAuth{method: "basic", sources: secrets, prove: proveBasic}
}

func proveBasic(attempt *attempt, secret string) error {
	// RFC 6749, section 2.3.1: both parts are form-encoded before they are
	// joined, or an identifier with a colon would end at it.
	pair := url.QueryEscape(attempt.clientID) + ":" + url.QueryEscape(secret)
	attempt.header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	return nil
}

// Post proves the client by its secret in the request's body
// (client_secret_post).
func Post(secrets ...SecretSource) ClientAuth {
	return &secretAuth{method: "post", sources: secrets, prove: provePost}
}

func provePost(attempt *attempt, secret string) error {
	attempt.form.Set("client_id", attempt.clientID)
	attempt.form.Set("client_secret", secret)
	return nil
}

// A certified method proves the client by the certificate of the TLS connection.
type certified interface {
	certificate() *Certificate
}
