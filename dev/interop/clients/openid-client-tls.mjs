// openid-client as a client that proves itself by its certificate (RFC 8705).
//
// It writes one JSON object about what it got to standard output.
import * as client from 'openid-client'

import { client_id, settings, showing, shown } from './certificate.mjs'
import { refusal } from './refusal.mjs'

function configuration(certificate) {
  return client.discovery(new URL(settings.issuer), client_id, {}, client.TlsClientAuth(), {
    algorithm: 'oauth2', [client.customFetch]: showing(certificate),
  })
}

const own = await configuration(shown.own)
const report = { metadata: own.serverMetadata(), bound: await client.clientCredentialsGrant(own), refused: {}, thief: {} }
const ask = (by) => client.fetchProtectedResource(by, report.bound.access_token, new URL(settings.api), 'GET')
report.api = await (await ask(own)).text()
for (const whose of ['other', 'none']) {
  const by = await configuration(shown[whose])
  report.refused[whose] = await refusal(() => client.clientCredentialsGrant(by))
  report.thief[whose] = await refusal(() => ask(by))
}
console.log(JSON.stringify(report))
