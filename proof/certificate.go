package proof

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// ErrClientCert is the base of every error of ParseClientCert. It never quotes the
// field.
var ErrClientCert = errors.New("reading forwarded client certificate")

// maxCertificate bounds a forwarded certificate; real ones have one or two KiB.
const maxCertificate = 16 << 10

// CertificateThumbprint is the SHA-256 of a certificate in DER, to be compared with
// x5t#S256 (RFC 8705, section 3.1).
func CertificateThumbprint(der []byte) token.Thumbprint {
	return sha256.Sum256(der)
}

// ParseClientCert reads the values of a Client-Cert field (RFC 9440, section 2.2), a
// byte sequence of structured fields (RFC 8941, section 3.3.5), and returns the
// certificate in DER, or nil if there is no such field.
//
// Whoever can send a request can write this field: it says something only if it was
// set by a proxy that removes what its clients send under that name. To know that
// proxy is the caller's part. The field Client-Cert-Chain says nothing about who
// holds a key and is not needed.
func ParseClientCert(values []string) ([]byte, error) {
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, fmt.Errorf("%w: there is more than one", ErrClientCert)
	}
	text := strings.Trim(values[0], " ")
	if len(text) > base64.StdEncoding.EncodedLen(maxCertificate)+2 {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrClientCert, maxCertificate)
	}
	if len(text) < 2 || text[0] != ':' || text[len(text)-1] != ':' {
		return nil, fmt.Errorf("%w: not base64 between two colons", ErrClientCert)
	}
	text = text[1 : len(text)-1]
	// The decoder skips line breaks, which no header field has.
	if strings.ContainsAny(text, "\r\n") {
		return nil, fmt.Errorf("%w: not base64 between two colons", ErrClientCert)
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: not base64 between two colons", ErrClientCert)
	}
	if !isSequence(der) {
		return nil, fmt.Errorf("%w: not one certificate in DER", ErrClientCert)
	}
	return der, nil
}

// isSequence tells whether the octets are one whole ASN.1 sequence, as a certificate
// is. What is in it does not matter: only its hash is compared, with one that an
// issuer made.
func isSequence(der []byte) bool {
	var whole asn1.RawValue
	rest, err := asn1.Unmarshal(der, &whole)
	return err == nil && len(rest) == 0 && whole.Class == asn1.ClassUniversal &&
		whole.Tag == asn1.TagSequence && whole.IsCompound && len(whole.Bytes) > 0
}
