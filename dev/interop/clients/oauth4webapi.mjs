// oauth4webapi as a client of the gateway's token service, as the service that
// asks about tokens, and as one that verifies them itself.
//
// It writes one JSON object about what it got to standard output.
import * as oauth from 'oauth4webapi'

import { exchange, grant, key, refusal, settings } from './settings.mjs'

const http = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(settings.issuer)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...http, algorithm: 'oauth2' }))

const orders = { client_id: 'orders' }
const nightly = { client_id: 'nightly' }
const billing = { client_id: settings.audience, introspection_signed_response_alg: 'ES256' }
const signed = oauth.PrivateKeyJwt({ key, kid: settings.kid })
const secret = oauth.ClientSecretBasic(settings.secret)

async function credentials(client, auth, parameters = {}, options = {}) {
  const answer = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, { ...http, ...options })
  return oauth.processClientCredentialsResponse(as, client, answer)
}

async function exchanged(more, options = {}) {
  const answer = await oauth.genericTokenEndpointRequest(as, orders, signed, grant, exchange(more), { ...http, ...options })
  return oauth.processGenericTokenEndpointResponse(as, orders, answer)
}

async function about(token, options = {}) {
  const answer = await oauth.introspectionRequest(as, billing, secret, token, { ...http, ...options })
  const said = await oauth.processIntrospectionResponse(as, billing, answer)
  if (options.requestJwtResponse) await oauth.validateApplicationLevelSignature(as, answer, http)
  return said
}

// verified is what a service reads in a token by the key set alone (RFC 9068).
function verified(token) {
  const request = new Request('https://billing.example.com/', { headers: { authorization: `Bearer ${token}` } })
  return oauth.validateJwtAccessToken(as, request, settings.audience, http)
}

// challenges counts how often a nonce is asked for (RFC 9449, sections 8 and 9).
let challenges = 0

// withNonce does something again when its proof lacks the nonce that it has been
// given just now.
async function withNonce(action) {
  try {
    return await action()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    challenges++
    return action()
  }
}

const report = { metadata: as }
report.assertion = await credentials(orders, signed, { audience: settings.audience, scope: 'billing:read' })
report.secret = await credentials(nightly, secret)
report.wrong = await refusal(() => credentials(nightly, oauth.ClientSecretBasic('wrong')))
report.exchange = await exchanged()
report.verified = await verified(report.exchange.access_token)
report.target = await refusal(() => exchanged({ audience: 'https://other.example.com' }))

report.described = await about(report.secret.access_token)
report.signed = await about(report.exchange.access_token, { requestJwtResponse: true })
await oauth.processRevocationResponse(await oauth.revocationRequest(as, nightly, secret, report.secret.access_token, http))
report.revoked = await about(report.secret.access_token)

const pair = await oauth.generateKeyPair('ES256', { extractable: false })
const DPoP = oauth.DPoP(orders, pair)
report.thumbprint = await DPoP.calculateThumbprint()
report.bound = await withNonce(() => credentials(orders, signed, {}, { DPoP }))
report.boundExchange = await withNonce(() => exchanged({}, { DPoP }))
const ask = (options) => oauth.protectedResourceRequest(
  report.boundExchange.access_token, 'GET', new URL(settings.api), undefined, null, { ...http, ...options })
report.api = await (await withNonce(() => ask({ DPoP }))).text()
report.bearer = await refusal(() => ask({}))
report.challenges = challenges
console.log(JSON.stringify(report))
