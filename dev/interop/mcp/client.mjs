// The SDK's own client, with what an application adds to it: a place for
// credentials, and somebody who signs in.
//
//   node client.mjs <url of the MCP server> <person> [<scope of an earlier login>]
//   node client.mjs <url of the MCP server> <person> --outlive
//
// With --outlive it stays until its token has expired, and goes on with another.
//
// It writes one JSON object about what happened to standard output.
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'

import { auth, UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js'

import { Credentials } from './credentials.mjs'
import { signIn } from './browser.mjs'

const [address, person, word] = process.argv.slice(2)
const outlive = word === '--outlive'
const earlierScope = outlive ? undefined : word
const url = new URL(address)
const credentials = new Credentials()
const report = { logins: [], heard: [], progress: [], errors: [] }

// Whoever waits for this learns where it stands when it does not end.
setTimeout(() => {
  console.error('not done:', JSON.stringify(report))
  process.exit(1)
}, 60_000).unref()

// withLogin does something with the server, and signs in when the SDK asks for it.
async function withLogin(action, why) {
  for (;;) {
    try {
      return await action()
    } catch (error) {
      if (!(error instanceof UnauthorizedError)) throw error
      await login(why)
    }
  }
}

async function login(why) {
  if (report.logins.length === 5) throw new Error(`the server wants another login again and again: ${JSON.stringify(report)}`)
  const target = credentials.authorization
  const asked = Object.fromEntries(target.searchParams)
  report.logins.push({ why, scope: asked.scope, resource: asked.resource, pkce: asked.code_challenge_method, at: target.origin })
  await transport.finishAuth(await signIn(target, person))
}

let transport = new StreamableHTTPClientTransport(url, { authProvider: credentials })
if (earlierScope) {
  await auth(credentials, { serverUrl: url, scope: earlierScope })
  await login('earlier')
}

let client
await withLogin(async () => {
  client = new Client({ name: 'interop', version: '1.0.0' })
  client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => { report.heard.push(params.data) })
  transport = new StreamableHTTPClientTransport(url, { authProvider: credentials })
  await client.connect(transport)
}, 'connect')
const call = async (name, args, options) => (await client.callTool({ name, arguments: args }, undefined, options)).content[0].text

// hear has the server say something by itself, over the stream that the client
// keeps open, until it comes.
async function hear() {
  const before = report.heard.length
  while (report.heard.length === before) {
    await call('announce', {})
    await pause(200)
  }
}

// expired waits for the end of the stream and for the refusal of the next.
function expired() {
  return new Promise((resolve) => {
    client.onerror = (error) => {
      report.errors.push(error.message)
      if (error instanceof UnauthorizedError) resolve()
    }
  })
}

if (outlive) {
  await hear()
  const session = transport.sessionId
  await expired()
  await login('expired')
  await hear()
  report.read = await call('read_order', { id: '1' })
  report.sameSession = session === transport.sessionId
  await finish()
}

report.registered = credentials.information
report.tools = (await client.listTools()).tools.map((tool) => tool.name)

report.read = await call('read_order', { id: '1' })
report.count = await call('count', { steps: 4 }, {
  onprogress: ({ progress }) => {
    report.progress.push(progress)
    call('saw', { step: progress }).catch((error) => { report.failed = String(error) })
  },
})

await hear()
report.cancel = await withLogin(() => call('cancel_order', { id: '1' }), 'cancel_order')
await finish()

async function finish() {
  await transport.terminateSession()
  await client.close()
  report.tokens = credentials.seen.map((token) => createHash('sha256').update(token).digest('hex'))
  console.log(JSON.stringify(report))
  process.exit(0)
}
