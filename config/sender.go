package config

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The ways in which a token can be bound to whoever presents it.
const (
	// BoundDPoP: by a proof that the token's key signed (RFC 9449).
	BoundDPoP = "dpop"
	// BoundMTLS: by the client's certificate (RFC 8705).
	BoundMTLS = "mtls"
)

// Sender says how callers show that a token is their own. It is a part of
// token_auth.
type Sender struct {
	// Refuse plain bearer tokens: a token must be bound in one of these ways,
	// `dpop` and `mtls`. Default: plain bearer tokens are accepted. A token that is
	// bound is held to it in any case.
	SenderConstrained []string `json:"sender_constrained,omitempty"`

	// The scheme, host and path prefix under which clients call this site, for the
	// URL in a DPoP proof. Default: those of the request as it came, and
	// `X-Forwarded-Proto` and `X-Forwarded-Host` from the server's trusted proxies.
	PublicURL []string `json:"public_url,omitempty"`

	// The request header in which a TLS terminating proxy forwards the client's
	// certificate (RFC 9440), believed from the server's trusted proxies only.
	// Default: the certificate of the TLS connection alone.
	ClientCertificate string `json:"client_certificate,omitempty"`

	// Ask for a nonce of the gateway's in every DPoP proof (RFC 9449, section 9).
	// Default: false.
	DPoPNonce bool `json:"dpop_nonce,omitempty"`
}

func (s *Sender) options() []option {
	return []option{
		{word: "sender_constrained", read: readBindings(&s.SenderConstrained)},
		{word: "public_url", read: readList(&s.PublicURL)},
		{word: "client_certificate", read: readOne(&s.ClientCertificate)},
		{word: "dpop_nonce", read: readFlag(&s.DPoPNonce)},
	}
}

// readBindings reads `sender_constrained [dpop] [mtls]`. None named is either.
func readBindings(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if *to = d.RemainingArgs(); len(*to) == 0 {
			*to = []string{BoundDPoP, BoundMTLS}
		}
		return nil
	}
}

func (s *Sender) settings() []setting {
	return slices.Concat(
		list("sender_constrained", s.SenderConstrained, checkOneOf("binding", BoundDPoP, BoundMTLS)),
		list("public_url", s.PublicURL, checkPublicURL),
		one("client_certificate", &s.ClientCertificate, checkCertificateHeader),
	)
}

func (s *Sender) contradiction() error {
	for _, values := range [][]string{s.SenderConstrained, s.PublicURL} {
		for n, value := range values {
			if slices.Contains(values[:n], value) {
				return fmt.Errorf("%s is written twice", value)
			}
		}
	}
	if s.DPoPNonce && len(s.SenderConstrained) == 1 && s.SenderConstrained[0] == BoundMTLS {
		return errors.New("dpop_nonce and sender_constrained mtls exclude each other: no DPoP proof would be looked at")
	}
	return nil
}

// checkPublicURL accepts scheme, host and prefix. Whether clients come over TLS is
// their affair, so plain http is accepted for loopback hosts only, as everywhere.
func checkPublicURL(text string) error {
	if err := checkIssuerURL(text); err != nil {
		return err
	}
	return checkQuotable(text)
}

// checkCertificateHeader accepts a request header that may carry a certificate.
func checkCertificateHeader(name string) error {
	if err := checkInjectHeader(name); err != nil {
		return err
	}
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Dpop":
		return fmt.Errorf("the header %s carries a credential: a certificate comes in one of its own, such as Client-Cert", name)
	}
	return nil
}
