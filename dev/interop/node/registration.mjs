// A client that registers itself names the scopes that it knows of on that day,
// and oidc-provider would hold it to them for ever: the MCP SDK names those of its
// first login, and could never ask for more. A server may register a client with
// other metadata than it asked for (RFC 7591, section 3.2.1); this one gives
// everybody all scopes, and asks for consent.
export function widenRegistration(provider, scopes) {
  provider.use(async (ctx, next) => {
    if (ctx.method === 'POST' && ctx.path === '/reg') {
      const chunks = []
      for await (const chunk of ctx.req) chunks.push(chunk)
      const metadata = JSON.parse(Buffer.concat(chunks))
      if (metadata.scope) metadata.scope = scopes.join(' ')
      ctx.req.body = JSON.stringify(metadata) // where oidc-provider looks for a body that is read
    }
    return next()
  })
}
