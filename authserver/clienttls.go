package authserver

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"
)

// TLS proves the client by the certificate of its TLS connection (RFC 8705,
// section 2). Endpoints of the server's mtls_endpoint_aliases are preferred.
func TLS(certificate *Certificate) ClientAuth { return &tlsAuth{certificate} }

type tlsAuth struct{ shown *Certificate }

func (a *tlsAuth) certificate() *Certificate { return a.shown }

func (a *tlsAuth) authenticate(_ context.Context, attempt *attempt) error {
	attempt.form.Set("client_id", attempt.clientID)
	attempt.proof = proof{content: a.shown.Thumbprint()}
	return nil
}

func (a *tlsAuth) keyID() string           { return "tls " + a.shown.files.Certificate }
func (*tlsAuth) check(ClientOptions) error { return nil }
func (*tlsAuth) accepted(*attempt)         {}

func (a *tlsAuth) refused(attempt *attempt) bool {
	a.shown.reread()
	return attempt.avoid == nil && attempt.proof.content != any(a.shown.Thumbprint())
}

func trimSpace(content []byte) string { return strings.TrimSpace(string(bytes.TrimSpace(content))) }

// expiryOf reads an exp; what is none has passed.
func expiryOf(value any) time.Time {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds > maxLife.Seconds()*1000 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}
