// openid-client as a client of the gateway's token service, and as the service that
// asks about tokens.
//
// It writes one JSON object about what it got to standard output.
import * as client from 'openid-client'

import { exchange, grant, key, refusal, settings } from './settings.mjs'

// configuration is a client by its identifier. Without the algorithm it would look
// for an OpenID provider, which the gateway is not.
function configuration(id, auth, metadata = {}) {
  return client.discovery(new URL(settings.issuer), id, metadata, auth, {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  })
}

const secret = client.ClientSecretBasic(settings.secret)
const orders = await configuration('orders', client.PrivateKeyJwt({ key, kid: settings.kid }))
const nightly = await configuration('nightly', secret)
const billing = await configuration(settings.audience, secret)
const careful = await configuration(settings.audience, secret, { introspection_signed_response_alg: 'ES256' })

const report = { metadata: orders.serverMetadata() }
report.assertion = await client.clientCredentialsGrant(orders, { audience: settings.audience, scope: 'billing:read' })
report.secret = await client.clientCredentialsGrant(nightly)
const stranger = await configuration('nightly', client.ClientSecretBasic('wrong'))
report.wrong = await refusal(() => client.clientCredentialsGrant(stranger))
report.exchange = await client.genericGrantRequest(orders, grant, exchange())
report.target = await refusal(() => client.genericGrantRequest(orders, grant, exchange({ audience: 'https://other.example.com' })))

report.described = await client.tokenIntrospection(billing, report.secret.access_token)
report.signed = await client.tokenIntrospection(careful, report.exchange.access_token)
await client.tokenRevocation(nightly, report.secret.access_token)
report.revoked = await client.tokenIntrospection(billing, report.secret.access_token)

const DPoP = client.getDPoPHandle(orders, await client.randomDPoPKeyPair('ES256'))
report.thumbprint = await DPoP.calculateThumbprint()
report.bound = await client.clientCredentialsGrant(orders, {}, { DPoP })
report.boundExchange = await client.genericGrantRequest(orders, grant, exchange(), { DPoP })
const ask = (options) => client.fetchProtectedResource(
  orders, report.boundExchange.access_token, new URL(settings.api), 'GET', null, undefined, options)
report.api = await (await ask({ DPoP })).text()
report.bearer = await refusal(() => ask({}))
console.log(JSON.stringify(report))
