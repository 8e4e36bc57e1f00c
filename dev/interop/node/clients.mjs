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
  client_secret: 'gateway-secret',
}

export const clients = [
  // The gateway. It signs its answers to introspection for the second only.
  { ...gateway, client_id: 'gateway' },
  { ...gateway, client_id: 'gateway-signed', introspection_signed_response_alg: 'ES256' },
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
