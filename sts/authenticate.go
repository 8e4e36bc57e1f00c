package sts

import (
	"context"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
)

// assertionType is the one that is accepted (RFC 7523, section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

var (
	errTwoWays    = errors.New("more than one way of client authentication in one request")
	errScheme     = errors.New("the Authorization header is not Basic, or not well formed")
	errNobody     = errors.New("the request names no client")
	errUnknown    = errors.New("no client has this identifier")
	errOtherWay   = errors.New("the client proves itself in another way")
	errSecret     = errors.New("the secret is wrong")
	errOtherName  = errors.New("client_id names another client")
	errSecretLong = errors.New("the secret is too long")
)

// authenticate finds out which client asks. A request proves its client in exactly
// one way (RFC 6749, section 2.3), and it is that client's.
func (s *Service) authenticate(ctx context.Context, r *request) (*Client, *Error) {
	ways := len(r.authorization)
	for _, name := range []string{paramSecret, paramAssertion} {
		if r.form.get(name) != "" {
			ways++
		}
	}
	switch {
	case ways > 1:
		return nil, refuse(OutcomeTwoMethods, errTwoWays)
	case len(r.authorization) == 1:
		return s.byBasic(ctx, r)
	case r.form.get(paramSecret) != "":
		return s.bySecret(ctx, r.form.get(paramClient), r.form.get(paramSecret))
	case r.form.get(paramAssertion) != "" || r.form.get(paramAssertionType) != "":
		return s.byAssertion(ctx, r)
	default:
		return s.byCertificate(r)
	}
}

// byBasic reads the header: identifier and secret are form-encoded before they are
// joined (RFC 6749, section 2.3.1).
func (s *Service) byBasic(ctx context.Context, r *request) (*Client, *Error) {
	scheme, encoded, _ := strings.Cut(r.authorization[0], " ")
	plain, err := base64.StdEncoding.DecodeString(encoded)
	left, right, found := strings.Cut(string(plain), ":")
	if err != nil || !found || !strings.EqualFold(scheme, "Basic") {
		return nil, refuse(OutcomeClient, errScheme)
	}
	id, err := url.QueryUnescape(left)
	if err != nil {
		return nil, refuse(OutcomeClient, errScheme)
	}
	secret, err := url.QueryUnescape(right)
	if err != nil {
		return nil, refuse(OutcomeClient, errScheme)
	}
	if named := r.form.get(paramClient); named != "" && named != id {
		return nil, refuse(OutcomeClient, errOtherName)
	}
	return s.bySecret(ctx, id, secret)
}

// bySecret takes as long for a client that does not exist as for one that does.
func (s *Service) bySecret(ctx context.Context, id, secret string) (*Client, *Error) {
	if len(secret) > maxSecret {
		return nil, refuse(OutcomeClient, errSecretLong)
	}
	client, cause := s.clients[id], errSecret
	hash := s.decoy
	switch {
	case client == nil:
		cause = errUnknown
	case client.Auth.Secret == nil:
		cause = errOtherWay
	default:
		hash = client.Auth.Secret
	}
	if hash == nil {
		return nil, refuse(OutcomeClient, cause) // no client has a secret, and nobody can tell them apart
	}
	right, err := hash.Matches(ctx, s.config.Crowd, secret)
	switch {
	case errors.Is(err, errCrowd):
		return nil, refuse(OutcomeTooMany, err)
	case err != nil:
		return nil, refuse(OutcomeGone, err)
	case !right || hash == s.decoy:
		return nil, refuse(OutcomeClient, cause)
	}
	return client, nil
}

// byCertificate proves the client by the certificate of its connection (RFC 8705,
// section 2.1).
func (s *Service) byCertificate(r *request) (*Client, *Error) {
	id := r.form.get(paramClient)
	client := s.clients[id]
	switch {
	case id == "":
		return nil, refuse(OutcomeClient, errNobody)
	case client == nil:
		return nil, refuse(OutcomeClient, errUnknown)
	case client.Auth.Name == "":
		return nil, refuse(OutcomeClient, errOtherWay)
	}
	if err := checkCertificate(r.certificate, client.Auth.Name); err != nil {
		return nil, refuse(OutcomeClient, err)
	}
	return client, nil
}
