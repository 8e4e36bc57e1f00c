package sts

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// WellKnown is where the metadata of an authorization server lies (RFC 8414, section
// 3); the path of its issuer stands behind it.
const WellKnown = "/.well-known/oauth-authorization-server"

// Endpoints are the addresses that a service offers, each "" if it does not.
type Endpoints struct{ KeySet, Token, Introspection, Revocation string }

// MetadataPath is the path of the metadata of an issuer (RFC 8414, section 3.1):
// its own path behind the well-known one, without a slash at its end.
func MetadataPath(issuer string) (string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("reading the issuer: %w", err)
	}
	return WellKnown + strings.TrimSuffix(u.Path, "/"), nil
}

// metadata is the document of RFC 8414, section 2, with the members of RFC 8705,
// 9449 and 9701. What is not offered is not in it.
type metadata struct {
	Issuer           string   `json:"issuer"`
	KeySet           string   `json:"jwks_uri,omitempty"`
	Token            string   `json:"token_endpoint,omitempty"`
	Introspection    string   `json:"introspection_endpoint,omitempty"`
	Revocation       string   `json:"revocation_endpoint,omitempty"`
	ResponseTypes    []string `json:"response_types_supported"`
	Grants           []string `json:"grant_types_supported"`
	Methods          []string `json:"token_endpoint_auth_methods_supported,omitempty"`
	Algorithms       []string `json:"token_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntroMethods     []string `json:"introspection_endpoint_auth_methods_supported,omitempty"`
	IntroAlgorithms  []string `json:"introspection_endpoint_auth_signing_alg_values_supported,omitempty"`
	IntroSigned      []string `json:"introspection_signing_alg_values_supported,omitempty"`
	RevokeMethods    []string `json:"revocation_endpoint_auth_methods_supported,omitempty"`
	RevokeAlgorithms []string `json:"revocation_endpoint_auth_signing_alg_values_supported,omitempty"`
	DPoP             []string `json:"dpop_signing_alg_values_supported,omitempty"`
	CertificateBound bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
}

// Metadata returns the document that tells clients what the service offers, and
// nothing that it does not. signing is the algorithm of its own keys.
func (s *Service) Metadata(at Endpoints, signing jose.Algorithm) ([]byte, error) {
	document := metadata{
		Issuer: s.config.Issuer, KeySet: at.KeySet, Token: at.Token, Introspection: at.Introspection, Revocation: at.Revocation,
		ResponseTypes: []string{}, Grants: []string{},
	}
	methods, algorithms := s.methods()
	if at.Token != "" {
		document.Grants, document.Methods, document.Algorithms = s.grants(), methods, algorithms
		document.DPoP = names(s.config.DPoP.Algorithms())
		for _, client := range s.clients {
			document.CertificateBound = document.CertificateBound || client.Auth.Name != ""
		}
	}
	if at.Introspection != "" {
		document.IntroMethods, document.IntroAlgorithms = methods, algorithms
		document.IntroSigned = []string{string(signing)}
	}
	if at.Revocation != "" {
		document.RevokeMethods, document.RevokeAlgorithms = methods, algorithms
	}
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("writing the metadata: %w", err)
	}
	return text, nil
}

// methods are the ways in which a client of this service proves itself, and the
// algorithms of assertions if there are any.
func (s *Service) methods() (ways, algorithms []string) {
	found := make(map[string]bool)
	for _, client := range s.clients {
		switch {
		case client.Auth.Secret != nil:
			found["client_secret_basic"], found["client_secret_post"] = true, true
		case client.Auth.Keys != nil:
			found["private_key_jwt"] = true
		default:
			found["tls_client_auth"] = true
		}
	}
	if found["private_key_jwt"] {
		algorithms = names(jose.Asymmetric())
	}
	return slices.Sorted(maps.Keys(found)), algorithms
}

func (s *Service) grants() []string {
	found := make(map[string]bool)
	for _, client := range s.clients {
		for _, grant := range client.Grants {
			found[grant] = true
		}
	}
	return append([]string{}, slices.Sorted(maps.Keys(found))...)
}

func names(algorithms []jose.Algorithm) []string {
	texts := make([]string, len(algorithms))
	for i, alg := range algorithms {
		texts[i] = string(alg)
	}
	return texts
}
