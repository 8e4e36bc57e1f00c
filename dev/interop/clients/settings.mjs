// What the test says on standard input, as JSON:
//
//   { issuer, key, kid, secret, subject, api, audience }
//
// key is a private key for ES256 (PKCS #8, base64), subject a token of the test's
// issuer, api an address behind the gateway.
import { text } from 'node:stream/consumers'

export const settings = JSON.parse(await text(process.stdin))

export const key = await crypto.subtle.importKey(
  'pkcs8', Buffer.from(settings.key, 'base64'), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])

// How token exchange (RFC 8693) is asked for.
export const grant = 'urn:ietf:params:oauth:grant-type:token-exchange'

export function exchange(more = {}) {
  return {
    subject_token: settings.subject,
    subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    audience: settings.audience,
    scope: 'billing:read',
    ...more,
  }
}

export { refusal } from './refusal.mjs'
