// RFC 8693 as a custom grant: oidc-provider has none of its own. It exchanges an
// access token of this server for one with another audience and at most the
// same scopes, and refuses as section 2.2.2 says.
import { createLocalJWKSet, jwtVerify } from 'jose'
import { errors } from 'oidc-provider'

const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const parameters = ['audience', 'resource', 'scope', 'requested_token_type', 'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type']

export function addExchange(provider, server) {
  const keys = createLocalJWKSet(publicSet(server.jwks))
  provider.registerGrantType(grantType, async (ctx) => {
    const { client, params } = ctx.oidc
    if (params.subject_token_type !== accessToken || !params.subject_token) {
      throw new errors.InvalidRequest('an access token is wanted as subject_token')
    }
    if (params.actor_token || params.actor_token_type) throw new errors.InvalidRequest('no actor is taken')
    const subject = await subjectOf(provider, server, keys, params.subject_token)
    if (subject.bound) throw new errors.InvalidRequest('the subject token is bound to its holder')
    const name = params.resource ?? params.audience
    if (typeof name !== 'string') throw new errors.InvalidTarget()
    const target = new provider.ResourceServer(name, server.resourceServer(name))
    const scopes = params.scope ? params.scope.split(' ') : [...subject.scopes].filter((scope) => target.scopes.has(scope))
    for (const scope of scopes) {
      if (!subject.scopes.has(scope) || !target.scopes.has(scope)) throw new errors.InvalidScope('not held or not known there', scope)
    }
    const token = new provider.AccessToken({
      accountId: subject.account,
      client,
      gty: 'token_exchange',
      scope: scopes.join(' ') || undefined,
      expiresIn: Math.min(300, subject.exp - Math.floor(Date.now() / 1000)),
    })
    token.resourceServer = target
    const value = await token.save()
    ctx.body = {
      access_token: value,
      issued_token_type: accessToken,
      token_type: token.tokenType,
      expires_in: token.expiration,
      scope: token.scope,
    }
  }, parameters, ['audience', 'resource'])
}

// subjectOf reads an access token of this server, which may be a JWT or a
// reference to what is stored.
async function subjectOf(provider, server, keys, text) {
  if (text.split('.').length === 3) {
    try {
      const { payload } = await jwtVerify(text, keys, { issuer: server.issuer, typ: 'at+jwt' })
      return { account: payload.sub, scopes: new Set(payload.scope?.split(' ')), exp: payload.exp, bound: !!payload.cnf }
    } catch {
      throw new errors.InvalidRequest('the subject token is not good')
    }
  }
  const stored = await provider.AccessToken.find(text) ?? await provider.ClientCredentials.find(text)
  if (!stored) throw new errors.InvalidRequest('the subject token is not good')
  return {
    account: stored.accountId ?? stored.clientId, scopes: stored.scopes, exp: stored.exp, bound: stored.isSenderConstrained(),
  }
}

function publicSet({ keys }) {
  return { keys: keys.map(({ d, p, q, dp, dq, qi, ...rest }) => rest) }
}
