// An MCP server behind the gateway: the TypeScript SDK's streamable HTTP server
// with sessions. It takes tokens that were made for it and no others, and holds
// each tool to the scope that it needs.
//
//   node server.mjs <host:port> <issuer> <audience>
//
// On standard output stands one JSON line for each token that it takes: what it
// says, and its SHA-256, by which a run shows that it is not the client's.
import { createHash, randomUUID } from 'node:crypto'

import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js'
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js'
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js'
import { createRemoteJWKSet, jwtVerify } from 'jose'

import { makeServer, scopeOf } from './tools.mjs'

const [address, issuer, audience] = process.argv.slice(2)
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))

// verifier is the SDK's place for what makes a token good.
const verifier = {
  async verifyAccessToken(token) {
    let payload
    try {
      payload = (await jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })).payload
    } catch {
      throw new InvalidTokenError('not a token for this server')
    }
    const fingerprint = createHash('sha256').update(token).digest('hex')
    console.log(JSON.stringify({ taken: fingerprint, aud: payload.aud, sub: payload.sub, scope: payload.scope, client_id: payload.client_id }))
    return {
      token, clientId: payload.client_id, scopes: payload.scope?.split(' ') ?? [], expiresAt: payload.exp,
      extra: { sub: payload.sub },
    }
  },
}

const sessions = new Map() // id → { transport, sub }
const app = createMcpExpressApp({ host: '127.0.0.1' })
app.use('/mcp', requireBearerAuth({ verifier }))
app.use('/mcp', needsScope)

app.post('/mcp', async (req, res) => {
  const session = sessionOf(req)
  if (session) return session.transport.handleRequest(req, res, req.body)
  if (req.headers['mcp-session-id'] || !isInitializeRequest(req.body)) return res.status(404).end()
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => { sessions.set(id, { transport, sub: req.auth.extra.sub }) },
    onsessionclosed: (id) => { sessions.delete(id) },
  })
  await makeServer().connect(transport)
  return transport.handleRequest(req, res, req.body)
})

for (const method of ['get', 'delete']) {
  app[method]('/mcp', async (req, res) => {
    const session = sessionOf(req)
    return session ? session.transport.handleRequest(req, res) : res.status(404).end()
  })
}

// sessionOf finds a session of this very person: whoever learns the id of
// another's session gets nothing by it.
function sessionOf(req) {
  const session = sessions.get(req.headers['mcp-session-id'])
  return session?.sub === req.auth.extra.sub ? session : undefined
}

// needsScope refuses a tool whose scope the token lacks, before the call becomes
// a stream: a status can be sent no more after that. The challenge names all that
// is needed here (RFC 6750, section 3.1), and reaches the client through the gateway.
function needsScope(req, res, next) {
  const calls = [req.body ?? []].flat().filter((message) => message.method === 'tools/call')
  const needed = new Set(['orders:read', ...calls.flatMap((call) => scopeOf(call.params?.name))])
  if ([...needed].every((scope) => req.auth.scopes.includes(scope))) return next()
  res.set('WWW-Authenticate', `Bearer error="insufficient_scope", scope="${[...needed].join(' ')}"`)
  return res.status(403).json({ error: 'insufficient_scope' })
}

const [host, port] = address.split(':')
const listener = app.listen(Number(port), host, () => console.log('ready'))
// Streams would keep the server alive.
process.on('SIGTERM', () => { listener.close(); listener.closeAllConnections(); process.exit(0) })
