package sts

import (
	"crypto/x509"
	"net/http"
)

// A request is what an endpoint reads of an HTTP request.
type request struct {
	form          form
	authorization []string
	proofs        []string // DPoP
	accept        []string
	// certificate is the client's, verified by the TLS handshake; nil if there is
	// none.
	certificate *x509.Certificate
}

// readRequest reads a request to an endpoint that takes a form.
func readRequest(r *http.Request) (*request, *Error) {
	read, refused := readForm(r)
	if refused != nil {
		return nil, refused
	}
	return &request{
		form: read, authorization: r.Header["Authorization"], proofs: r.Header["Dpop"], accept: r.Header["Accept"],
		certificate: verifiedCertificate(r),
	}, nil
}

// verifiedCertificate is the client's certificate if the server verified its chain.
// One that was merely asked for proves nothing: anybody can sign a certificate with
// any name for himself.
func verifiedCertificate(r *http.Request) *x509.Certificate {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || len(r.TLS.VerifiedChains) == 0 {
		return nil
	}
	return r.TLS.PeerCertificates[0]
}
