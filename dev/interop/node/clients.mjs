// The clients that the runs use. A secret here opens nothing but this server.
const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'

const machine = {
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  client_secret: 'caller-secret',
}

const gateway = {
  grant_types: ['client_credentials', exchange],
  response_types: [],
  redirect_uris: [],
  client_secret: 'gateway-secret-of-at-least-32-bytes',
}

// ownClients are those whose keys a run brings along.
export function ownClients({ gatewayKey, gatewayCertificate }) {
  return [
    {
      ...gateway,
      client_id: 'gateway-key',
      client_secret: undefined,
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [gatewayKey] },
      introspection_signed_response_alg: 'ES256',
    },
    {
      ...gateway,
      client_id: 'gateway-tls',
      client_secret: undefined,
      token_endpoint_auth_method: 'self_signed_tls_client_auth',
      jwks: { keys: [gatewayCertificate] },
      introspection_signed_response_alg: 'ES256',
    },
  ]
}

export const clients = [
  // The gateway. What it is answered about tokens is signed with the issuer's key,
  // for the second client with that client's own secret.
  { ...gateway, client_id: 'gateway', introspection_signed_response_alg: 'ES256' },
  { ...gateway, client_id: 'gateway-hs', introspection_signed_response_alg: 'HS256' },
  // Callers.
  { ...machine, client_id: 'caller' },
  { ...machine, client_id: 'caller-dpop', dpop_bound_access_tokens: true },
  { ...machine, client_id: 'caller-mtls', tls_client_certificate_bound_access_tokens: true },
  {
    client_id: 'web',
    client_secret: 'caller-secret',
    grant_types: ['authorization_code'],
    redirect_uris: ['http://127.0.0.1:9/callback'],
    application_type: 'native',
  },
]
