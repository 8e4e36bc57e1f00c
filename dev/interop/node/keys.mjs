// The keys of the provider. Which of them signs is a matter of their order.
import { exportJWK, generateKeyPair } from 'jose'

export async function firstKeys() {
  return { keys: [await signingKey('ES256', 'es-1'), await signingKey('RS256', 'rs-1')] }
}

// rotate puts a new key before the one that signs access tokens until now, which
// stays for its tokens; the one before that goes.
export async function rotate({ keys }) {
  const [current] = keys
  const next = await signingKey('ES256', `es-${Number(current.kid.slice(3)) + 1}`)
  return { keys: [next, current, keys.find(({ alg }) => alg === 'RS256')] }
}

async function signingKey(alg, kid) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), alg, kid, use: 'sig' }
}
