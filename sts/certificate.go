package sts

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
)

var (
	errNoCertificate = errors.New("the connection has no client certificate that the server verified")
	errOtherSubject  = errors.New("the certificate does not hold the client's name")
	errTwoIDs        = errors.New("a certificate with a SPIFFE ID holds exactly one URI")
)

// checkCertificate wants the name among the certificate's subject alternative names:
// a URI, such as a SPIFFE ID, has "://", an e-mail address an at sign, and all else
// is a DNS name (RFC 8705, section 2.1.2). Names are compared whole. A wildcard in a
// certificate is no name: it would be everybody's under it.
func checkCertificate(certificate *x509.Certificate, name string) error {
	if certificate == nil {
		return errNoCertificate
	}
	var held bool
	switch {
	case strings.Contains(name, "://"):
		uris := make([]string, len(certificate.URIs))
		for i, uri := range certificate.URIs {
			uris[i] = uri.String()
		}
		if strings.HasPrefix(name, "spiffe://") && len(uris) > 1 {
			return errTwoIDs
		}
		held = slices.Contains(uris, name)
	case strings.Contains(name, "@"):
		held = slices.Contains(certificate.EmailAddresses, name)
	default:
		held = slices.ContainsFunc(certificate.DNSNames, func(dns string) bool {
			return strings.EqualFold(dns, name) && !strings.Contains(dns, "*")
		})
	}
	if !held {
		return errOtherSubject
	}
	return nil
}
