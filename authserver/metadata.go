package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// ErrMetadata is the base of errors about a server's metadata: it could be
// fetched, and it is not what RFC 8414 or OpenID Connect Discovery ask for.
var ErrMetadata = errors.New("reading server metadata")

// maxMetadataBytes bounds a metadata document.
const maxMetadataBytes = 256 << 10

// Metadata is what the gateway reads of a server's metadata (RFC 8414, section
// 2). Endpoints that the server does not have are "".
type Metadata struct {
	Issuer        string
	JWKSURI       string
	TokenEndpoint string
	// IntrospectionEndpoint and RevocationEndpoint are those of RFC 7662 and
	// RFC 7009.
	IntrospectionEndpoint, RevocationEndpoint string
	// Aliases are the endpoints for clients that show a certificate, by the names
	// of their members (mtls_endpoint_aliases; RFC 8705, section 5).
	Aliases map[string]string
	// SignsIntrospection tells whether the server offers signed answers to
	// introspection (RFC 9701, section 7).
	SignsIntrospection bool
}

// wellKnown lists where a server's metadata may lie: OpenID Connect Discovery
// 1.0, section 4, appends to the path; RFC 8414, section 3.1, inserts before it.
func wellKnown(issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: the issuer is not a URL", ErrMetadata)
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	origin := u.Scheme + "://" + u.Host
	return []string{
		origin + path + "/.well-known/openid-configuration",
		origin + "/.well-known/oauth-authorization-server" + path,
	}, nil
}

// transmitterWellKnown is where a transmitter's metadata lies (OpenID Shared Signals
// Framework 1.0, section 7.2).
func transmitterWellKnown(issuer string) ([]string, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: the issuer is not a URL", ErrMetadata)
	}
	path := strings.TrimSuffix(u.EscapedPath(), "/")
	return []string{u.Scheme + "://" + u.Host + "/.well-known/ssf-configuration" + path}, nil
}

// discover fetches the metadata of an issuer from the first place that has it.
func discover(ctx context.Context, client *httpx.Client, places []string, issuer string) (*Metadata, error) {
	var failures []error
	for _, place := range places {
		metadata, err := fetchMetadata(ctx, client, place, issuer)
		if err == nil {
			return metadata, nil
		}
		failures = append(failures, err)
		// A host that does not answer will not answer at another path either.
		if errors.Is(err, httpx.ErrUnreachable) || errors.Is(err, httpx.ErrTimeout) || ctx.Err() != nil {
			break
		}
	}
	return nil, errors.Join(failures...)
}

func fetchMetadata(ctx context.Context, client *httpx.Client, place, issuer string) (*Metadata, error) {
	answer, err := client.Get(ctx, place, "application/json", maxMetadataBytes)
	if err != nil {
		return nil, err
	}
	switch {
	case answer.Status >= http.StatusInternalServerError || answer.Status == http.StatusTooManyRequests:
		// The server is in trouble; that says nothing about its metadata.
		return nil, fmt.Errorf("%w: %s answered %d", httpx.ErrUnreachable, place, answer.Status)
	case answer.Status != http.StatusOK:
		return nil, fmt.Errorf("%w: %s answered %d", ErrMetadata, place, answer.Status)
	}
	metadata, err := ParseMetadata(answer.Body, issuer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", place, err)
	}
	return metadata, nil
}

// ParseMetadata reads a metadata document of that issuer. The issuer in the
// document must be the same text (RFC 8414, section 3.3), and every endpoint
// must be https, or http on a loopback host if the issuer itself is http: a
// server elsewhere must not send the gateway to the services of its own machine.
func ParseMetadata(document []byte, issuer string) (*Metadata, error) {
	members, err := jose.ParseObject(document)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	if named, _ := members["issuer"].(string); named != issuer {
		return nil, fmt.Errorf("%w: its issuer is not %s, character for character", ErrMetadata, issuer)
	}
	metadata := &Metadata{Issuer: issuer}
	fields := []struct {
		name string
		to   *string
	}{
		{"jwks_uri", &metadata.JWKSURI},
		{EndpointToken, &metadata.TokenEndpoint},
		{EndpointIntrospection, &metadata.IntrospectionEndpoint},
		{EndpointRevocation, &metadata.RevocationEndpoint},
	}
	for _, field := range fields {
		value, ok := members[field.name]
		if !ok {
			continue
		}
		text, _ := value.(string)
		if err := checkEndpoint(text, issuer); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrMetadata, field.name, err)
		}
		*field.to = text
	}
	algorithms, _ := members["introspection_signing_alg_values_supported"].([]any)
	metadata.SignsIntrospection = len(algorithms) > 0
	if metadata.Aliases, err = readAliases(members["mtls_endpoint_aliases"], issuer); err != nil {
		return nil, err
	}
	return metadata, nil
}

var errPlainEndpoint = errors.New("it is plain http, while the issuer is https")

func checkEndpoint(text, issuer string) error {
	u, err := httpx.CheckURL(text)
	if err == nil && u.Scheme == "http" && !strings.HasPrefix(issuer, "http:") {
		return errPlainEndpoint
	}
	return err
}
