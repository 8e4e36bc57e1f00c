// The configuration of oidc-provider. Everything that Gatehouse reads of it is
// the library's own: formats, introspection, DPoP, mutual TLS, resource indicators.
import { randomBytes } from 'node:crypto'

import Provider, { errors } from 'oidc-provider'

import { clients, ownClients } from './clients.mjs'
import { addExchange } from './exchange.mjs'
import { addInteraction } from './interaction.mjs'
import { levelOf, levels, policy } from './levels.mjs'
import { widenRegistration } from './registration.mjs'

// makeProvider makes one whose tokens are signed with the first key of each kind.
// What it issues it keeps in its memory: to the next one JWTs alone are known.
export function makeProvider(settings, jwks) {
  const issuer = `http://${settings.http}`
  const scopes = ['openid', 'offline_access', ...resourceScopes(settings)]
  const provider = new Provider(issuer, {
    jwks,
    clients: [...clients, ...(settings.gatewayKey ? ownClients(settings) : [])],
    scopes,
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    // One account for every name: the login asks for no password.
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    acrValues: levels,
    extraTokenClaims: (ctx) => levelOf(ctx),
    interactions: { policy: policy(), url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'self_signed_tls_client_auth', 'none'],
    clientDefaults: { id_token_signed_response_alg: 'ES256', authorization_signed_response_alg: 'ES256' },
    enabledJWA: {
      idTokenSigningAlgValues: ['ES256', 'RS256'],
      introspectionSigningAlgValues: ['ES256', 'RS256', 'HS256'],
    },
    discovery: {
      mtls_endpoint_aliases: {
        token_endpoint: `https://${settings.https}/token`,
        introspection_endpoint: `https://${settings.https}/token/introspection`,
      },
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      jwtIntrospection: { enabled: true },
      revocation: { enabled: true, allowedPolicy: () => true },
      registration: { enabled: true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.(),
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => resourceServer(settings, resource),
      },
    },
    ttl: { AccessToken: lifetime, ClientCredentials: lifetime },
  })
  addInteraction(provider)
  widenRegistration(provider, scopes)
  addExchange(provider, { issuer, jwks, resourceServer: (name) => resourceServer(settings, name) })
  provider.on('server_error', (_ctx, error) => console.error('server_error', error))
  return provider
}

// lifetime is that of a token, in seconds, as its resource wants it.
function lifetime(_ctx, token) {
  return token.resourceServer?.accessTokenTTL ?? 600
}

function resourceScopes(settings) {
  return new Set(Object.values(settings.resources).flatMap(({ scope }) => scope.split(' ')))
}

// resourceServer is what RFC 8707 calls a resource: one audience, its scopes and
// the form of its tokens.
function resourceServer(settings, name) {
  const known = settings.resources[name]
  if (!known) throw new errors.InvalidTarget()
  return {
    audience: name,
    scope: known.scope,
    accessTokenFormat: known.format,
    accessTokenTTL: known.ttl || 600,
    ...(known.format === 'jwt' ? { jwt: { sign: { alg: 'ES256' } } } : {}),
  }
}
