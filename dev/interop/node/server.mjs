// An authorization server for interoperability runs: panva's oidc-provider on
// loopback, with what Gatehouse claims to work with.
//
//   node server.mjs <settings file>
//
// The settings are JSON:
//   http   host and port of the issuer (plain HTTP on loopback)
//   https  host and port where clients show certificates (RFC 8705)
//   cert, key   PEM files of that listener
//   resources   { "<resource>": { "scope": "a b", "format": "jwt" | "opaque", "ttl": 600 } }
// It says "ready" on standard output once both listen. SIGHUP rotates the keys; it
// then says which one signs.
import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'

import { firstKeys, rotate } from './keys.mjs'
import { makeProvider } from './provider.mjs'

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))
let jwks = await firstKeys()
let serve = makeProvider(settings, jwks).callback()
const listener = (request, response) => serve(request, response)

process.on('SIGHUP', async () => {
  jwks = await rotate(jwks)
  serve = makeProvider(settings, jwks).callback()
  console.log(`rotated to ${jwks.keys[0].kid}`)
})

const [host, port] = settings.http.split(':')
await listen(http.createServer(listener), host, port)
const [secureHost, securePort] = settings.https.split(':')
const secure = {
  cert: readFileSync(settings.cert),
  key: readFileSync(settings.key),
  requestCert: true,
  rejectUnauthorized: false, // self-signed: what counts is the thumbprint
}
await listen(https.createServer(secure, listener), secureHost, securePort)
console.log('ready')

function listen(server, address, number) {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(Number(number), address, resolve)
  })
}
