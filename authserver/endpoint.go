package authserver

import "fmt"

// Endpoints that a client posts to, by the names of their members in a server's
// metadata (RFC 8414, section 2).
const (
	EndpointToken         = "token_endpoint"
	EndpointIntrospection = "introspection_endpoint"
	EndpointRevocation    = "revocation_endpoint"
)

// An Endpoint is where a client posts a form.
type Endpoint struct {
	// Name is one of the names above.
	Name string
	// URL is its address. Default: as the server's metadata says.
	URL string
}

// Endpoint returns the address of an endpoint, "" if the server has none of that
// name. A client that shows a certificate is sent to the alias, if there is one.
func (m *Metadata) Endpoint(name string, certificate bool) string {
	if alias := m.Aliases[name]; certificate && alias != "" {
		return alias
	}
	switch name {
	case EndpointToken:
		return m.TokenEndpoint
	case EndpointIntrospection:
		return m.IntrospectionEndpoint
	case EndpointRevocation:
		return m.RevocationEndpoint
	default:
		return ""
	}
}

// has tells whether an address is one of the endpoints.
func (m *Metadata) has(endpoint string) bool {
	for _, name := range []string{EndpointToken, EndpointIntrospection, EndpointRevocation} {
		if m.Endpoint(name, false) == endpoint || m.Endpoint(name, true) == endpoint {
			return true
		}
	}
	return false
}

// move makes the metadata that of the replica at base; see moved.
func (m *Metadata) move(base string) {
	for _, endpoint := range []*string{&m.JWKSURI, &m.TokenEndpoint, &m.IntrospectionEndpoint, &m.RevocationEndpoint} {
		*endpoint = moved(*endpoint, m.Issuer, base)
	}
	for name, alias := range m.Aliases {
		m.Aliases[name] = moved(alias, m.Issuer, base)
	}
}

// readAliases reads the endpoints that the gateway knows; there may be others.
func readAliases(value any, issuer string) (map[string]string, error) {
	if value == nil {
		return nil, nil //nolint:nilnil // the server has none
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: mtls_endpoint_aliases is not an object", ErrMetadata)
	}
	aliases := make(map[string]string)
	for _, name := range []string{EndpointToken, EndpointIntrospection, EndpointRevocation} {
		alias, ok := members[name]
		if !ok {
			continue
		}
		text, _ := alias.(string)
		if err := checkEndpoint(text, issuer); err != nil {
			return nil, fmt.Errorf("%w: mtls_endpoint_aliases: %s: %w", ErrMetadata, name, err)
		}
		aliases[name] = text
	}
	return aliases, nil
}
