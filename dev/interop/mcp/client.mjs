// The SDK's own client, with what an application adds to it: a place for
// credentials, and somebody who signs in.
//
//   node client.mjs <url of the MCP server> <person> [<scope of an earlier login>]
//
// It writes one JSON object about what happened to standard output.
import { createHash } from 'node:crypto'

import { auth, UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js'

import { Credentials } from './credentials.mjs'
import { signIn } from './browser.mjs'

const [address, person, earlierScope] = process.argv.slice(2)
const url = new URL(address)
const credentials = new Credentials()
const report = { logins: [], heard: [], progress: [] }

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
report.registered = credentials.information
report.tools = (await client.listTools()).tools.map((tool) => tool.name)

const call = async (name, args, options) => (await client.callTool({ name, arguments: args }, undefined, options)).content[0].text
report.read = await call('read_order', { id: '1' })
report.count = await call('count', { steps: 4 }, {
  onprogress: ({ progress }) => {
    report.progress.push(progress)
    call('saw', { step: progress }).catch((error) => { report.failed = String(error) })
  },
})

// What the server says by itself comes over another stream, at its own time.
while (report.heard.length === 0) await call('announce', {})

report.cancel = await withLogin(() => call('cancel_order', { id: '1' }), 'cancel_order')
await transport.terminateSession()
await client.close()

report.tokens = credentials.seen.map((token) => createHash('sha256').update(token).digest('hex'))
console.log(JSON.stringify(report))
