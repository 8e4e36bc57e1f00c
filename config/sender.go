package config

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The ways in which a token can be bound to whoever presents it.
const (
	// BoundDPoP: by a proof that the token's key signed (RFC 9449).
	BoundDPoP = "dpop"
	// BoundMTLS: by the client's certificate (RFC 8705).
	BoundMTLS = "mtls"
)

// proofHeader carries DPoP proofs, in Go's spelling of DPoP.
const proofHeader = "Dpop"

// Sender says how callers show that a token is their own. It is a part of
// token_auth.
type Sender struct {
	// Refuse plain bearer tokens: a token must be bound in one of these ways,
	// `dpop` and `mtls`. Default: plain bearer tokens are accepted. A token that is
	// bound is held to it in any case.
	SenderConstrained []string `json:"sender_constrained,omitempty"`

	// The scheme, host and path prefix under which clients call this site, for the
	// URL in a DPoP proof; the request's own path is added. Default: those of the
	// request as it came, and `X-Forwarded-Proto` and `X-Forwarded-Host` from the
	// server's trusted proxies. A site that answers for every host needs it: without
	// it, a proof made for another host is good here.
	PublicURL []string `json:"public_url,omitempty"`

	// The request header in which a TLS terminating proxy forwards the client's
	// certificate (RFC 9440), believed from the server's trusted proxies only.
	// From others it is removed. Default: the certificate of the TLS connection
	// alone.
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

var checkBinding = checkOneOf("binding", BoundDPoP, BoundMTLS)

func (s *Sender) settings() []setting {
	return slices.Concat(
		list("sender_constrained", s.SenderConstrained, checkBinding),
		list("public_url", s.PublicURL, checkPublicURL),
		one("client_certificate", &s.ClientCertificate, checkCertificateHeader),
	)
}

// Schemes are the authentication schemes under which a plain caller may come. A
// route that wants certificates alone offers no DPoP, though a token that is
// bound to a key as well may come under it.
func (t *TokenAuth) Schemes() (bearer, dpop bool) {
	bearer, dpop = len(t.From) == 0, len(t.From) == 0
	for _, from := range t.From {
		bearer = bearer || !from.onlyDPoP()
		dpop = dpop || from.AcceptsDPoP()
	}
	return bearer && !slices.Equal(t.SenderConstrained, []string{BoundDPoP}),
		dpop && !slices.Equal(t.SenderConstrained, []string{BoundMTLS})
}

// checkSender refuses what would let nobody pass, or everyone.
func (t *TokenAuth) checkSender() error {
	bearer, dpop := t.Schemes()
	switch {
	case t.SenderConstrained != nil && len(t.SenderConstrained) == 0:
		return errors.New("sender_constrained: the list is empty: name dpop, mtls or both, or leave it out")
	case slices.Equal(t.SenderConstrained, []string{BoundMTLS}) && t.DPoPNonce:
		return errors.New("dpop_nonce and sender_constrained mtls exclude each other: no DPoP proof is asked for")
	case !bearer && !dpop:
		return fmt.Errorf("sender_constrained %s and from exclude each other: no place of from takes such a token, so write from header Authorization",
			t.SenderConstrained[0])
	case t.DPoPNonce && !dpop:
		return errors.New("dpop_nonce and from exclude each other: a proof comes with a token under the scheme DPoP, so write from header Authorization")
	case slices.ContainsFunc(t.From, From{Source: FromHeader, Name: t.ClientCertificate}.same):
		return fmt.Errorf("client_certificate and from both name the header %s: a certificate is not a token", t.ClientCertificate)
	}
	return nil
}

func (s *Sender) contradiction() error {
	for _, option := range []struct {
		word   string
		values []string
	}{{"sender_constrained", s.SenderConstrained}, {"public_url", s.PublicURL}} {
		for n, value := range option.values {
			if slices.Contains(option.values[:n], value) {
				return fmt.Errorf("%s: %s is written twice", option.word, value)
			}
		}
	}
	return nil
}

// checkPublicURL accepts scheme, host and prefix, as proofs have them: without
// query and fragment (RFC 9449, section 4.2).
func checkPublicURL(text string) error {
	if strings.ContainsAny(text, "?#") {
		return errors.New("a public URL has no query and no fragment: write scheme, host and the path's beginning")
	}
	for _, r := range text {
		if r > '~' {
			return errors.New("the value is not in ASCII: write the host in its xn-- form and the path percent-encoded")
		}
	}
	return checkURL(text)
}

// checkCertificateHeader accepts a request header that may carry a certificate.
func checkCertificateHeader(name string) error {
	if !isHTTPToken(name) {
		return fmt.Errorf("%q is not a header name such as Client-Cert", name)
	}
	switch folded := http.CanonicalHeaderKey(foldHeader(name)); {
	case folded == authorizationHeader || folded == proofHeader:
		return fmt.Errorf("the header %s carries a credential: a certificate comes in one of its own, such as Client-Cert", name)
	case slices.Contains(reservedHeaders, folded):
		return fmt.Errorf("the header %s is reserved for HTTP itself: a certificate comes in one of its own, such as Client-Cert", name)
	}
	return nil
}
