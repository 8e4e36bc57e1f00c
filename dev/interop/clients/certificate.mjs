// What the test says on standard input, as JSON, to a client that shows a certificate:
//
//   { issuer, ca, cert, key, other_cert, other_key, api }
//
// Certificates and keys are PEM, ca is who signed the gateway's; api is an address behind
// it.
import https from 'node:https'
import { text } from 'node:stream/consumers'

export const settings = JSON.parse(await text(process.stdin))

// The client, which its certificate names too.
export const client_id = 'spiffe://example.com/orders'

// shown are certificates: the client's, one of another client, none.
export const shown = {
  own: { cert: settings.cert, key: settings.key },
  other: { cert: settings.other_cert, key: settings.other_key },
  none: {},
}

// showing is a fetch whose connections show a certificate, which Node's own has no
// word for.
export function showing(certificate) {
  return async (url, options) => {
    const asked = new Request(url, options)
    const body = Buffer.from(await asked.arrayBuffer())
    const { promise, resolve, reject } = deferred()
    const request = https.request(asked.url, {
      method: asked.method, headers: Object.fromEntries(asked.headers), ca: settings.ca, agent: false, ...certificate,
    }, resolve)
    request.on('error', reject)
    request.end(body)
    const answer = await promise
    return new Response(await text(answer) || null, { status: answer.statusCode, headers: headersOf(answer) })
  }
}

function headersOf(answer) {
  const headers = new Headers()
  for (let i = 0; i < answer.rawHeaders.length; i += 2) headers.append(answer.rawHeaders[i], answer.rawHeaders[i + 1])
  return headers
}

function deferred() {
  const made = {}
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made
}
