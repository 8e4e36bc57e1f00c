// oauth4webapi as a client that proves itself by its certificate (RFC 8705).
//
// It writes one JSON object about what it got to standard output.
import * as oauth from 'oauth4webapi'

import { client_id, settings, showing, shown } from './certificate.mjs'
import { refusal } from './refusal.mjs'

const by = (certificate) => ({ [oauth.customFetch]: showing(certificate) })
const issuer = new URL(settings.issuer)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { ...by(shown.none), algorithm: 'oauth2' }))
const client = { client_id }

async function credentials(certificate) {
  const answer = await oauth.clientCredentialsGrantRequest(as, client, oauth.TlsClientAuth(), {}, by(certificate))
  return oauth.processClientCredentialsResponse(as, client, answer)
}

const report = { metadata: as, bound: await credentials(shown.own), refused: {}, thief: {} }
const ask = (certificate) => oauth.protectedResourceRequest(
  report.bound.access_token, 'GET', new URL(settings.api), undefined, null, by(certificate))
report.api = await (await ask(shown.own)).text()
for (const whose of ['other', 'none']) {
  report.refused[whose] = await refusal(() => credentials(shown[whose]))
  report.thief[whose] = await refusal(() => ask(shown[whose]))
}
console.log(JSON.stringify(report))
