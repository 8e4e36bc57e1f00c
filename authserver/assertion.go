package authserver

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

const (
	// DefaultAssertionType is the typ of a client assertion: a token of another
	// kind that was signed with the same key does not pass for one.
	DefaultAssertionType = "client-authentication+jwt"
	// DefaultAssertionLife is how long a client assertion is good.
	DefaultAssertionLife = time.Minute
	// MaxAssertionLife bounds it. Each request gets its own; a long life serves
	// only who stole one.
	MaxAssertionLife = 5 * time.Minute
	// assertionJWT names what a client assertion is (RFC 7523, section 2.2).
	assertionJWT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionSPIFFE names a SPIFFE JWT-SVID in its place.
	assertionSPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
)

var (
	errShortSecret = fmt.Errorf("auth secret_jwt needs a secret of %d bytes or more", jose.MinHMACBytes)
	errNoAudience  = errors.New("without an issuer the assertion's audience must be written: endpoint, or a value")
)

// An AssertionAudience says what the aud of a client assertion is.
type AssertionAudience struct {
	// Endpoint is for servers that want the address of the endpoint. It invites
	// audience injection, which is why the issuer is the default.
	Endpoint bool
	// Value is a fixed text.
	Value string
}

// An Assertion shapes the JWT by which a client proves itself (RFC 7523, section
// 3, with the mends of its update).
type Assertion struct {
	// Audience is the aud. Default: the server's issuer identifier, alone.
	Audience AssertionAudience
	// Type is the typ header. Default: DefaultAssertionType.
	Type string
	// Life is how long the assertion is good, at most MaxAssertionLife. Default:
	// DefaultAssertionLife.
	Life time.Duration
	// CertificateFile is a PEM file whose first certificate's thumbprint goes into
	// the header x5t#S256 (RFC 7515, section 4.1.8). Default: no such header.
	CertificateFile string
	// Log is told when a file that has changed cannot be read. Default: nobody is.
	Log *slog.Logger
}

// An asserter makes the assertions of one client.
type asserter struct {
	Assertion
	thumbprint *watched[string] // nil: no x5t#S256
}

func newAsserter(shape Assertion) (*asserter, error) {
	if shape.Type == "" {
		shape.Type = DefaultAssertionType
	}
	if shape.Life == 0 {
		shape.Life = DefaultAssertionLife
	}
	if shape.Life < 0 || shape.Life > MaxAssertionLife {
		return nil, fmt.Errorf("an assertion's lifetime is at most %s", MaxAssertionLife)
	}
	made := &asserter{Assertion: shape}
	if shape.CertificateFile == "" {
		return made, nil
	}
	thumbprint, err := watch(shape.CertificateFile, shape.Log, certificateThumbprint)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	made.thumbprint = thumbprint
	return made, nil
}

func certificateThumbprint(content []byte) (string, error) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return "", errors.New("a certificate in it is broken")
		}
		sum := sha256.Sum256(block.Bytes)
		return base64.RawURLEncoding.EncodeToString(sum[:]), nil
	}
	return "", errors.New("there is no PEM certificate in it")
}

func (a *asserter) check(options ClientOptions) error {
	if options.Server == nil && a.Audience == (AssertionAudience{}) {
		return errNoAudience
	}
	return nil
}

func (a *asserter) audience(attempt *attempt) string {
	switch {
	case a.Audience.Endpoint:
		return attempt.endpoint
	case a.Audience.Value != "":
		return a.Audience.Value
	default:
		return attempt.issuer
	}
}

// make returns header and payload of a fresh assertion.
func (a *asserter) make(attempt *attempt) (header map[string]any, payload []byte, err error) {
	id := make([]byte, 16) //nolint:mnd // 128 bits: never seen twice
	_, _ = rand.Read(id)   // it never fails
	payload, err = json.Marshal(map[string]any{
		"iss": attempt.clientID,
		"sub": attempt.clientID,
		"aud": a.audience(attempt),
		"iat": attempt.now.Unix(),
		"exp": attempt.now.Add(a.Life).Unix(),
		"jti": base64.RawURLEncoding.EncodeToString(id),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("making an assertion: %w", err)
	}
	header = map[string]any{"typ": a.Type}
	if a.thumbprint != nil {
		header["x5t#S256"] = a.thumbprint.get()
	}
	return header, payload, nil
}

// send adds an assertion to an attempt.
func send(attempt *attempt, assertion string) {
	// RFC 7521, section 4.2, leaves client_id open; some servers look the client
	// up by it.
	attempt.form.Set("client_id", attempt.clientID)
	attempt.form.Set("client_assertion_type", assertionJWT)
	attempt.form.Set("client_assertion", assertion)
}

// SecretJWT proves the client by assertions signed with its secret
// (client_secret_jwt, HS256).
func SecretJWT(shape Assertion, secrets ...SecretSource) (ClientAuth, error) {
	maker, err := newAsserter(shape)
	if err != nil {
		return nil, err
	}
	prove := func(attempt *attempt, secret string) error {
		header, payload, err := maker.make(attempt)
		if err != nil {
			return err
		}
		assertion, err := jose.SignHS256([]byte(secret), header, payload)
		if err != nil {
			return err
		}
		send(attempt, assertion)
		return nil
	}
	return &secretAuth{
		method: "secret_jwt", sources: secrets, prove: prove, least: jose.MinHMACBytes, where: maker.check,
	}, nil
}
