// signIn goes where a browser would go: it follows redirects, keeps cookies, and
// ends with the code that is meant for the client.
export async function signIn(target, person) {
  let next = new URL(target)
  next.searchParams.set('login_hint', person)
  const cookies = new Map()
  for (let hop = 0; hop < 20; hop++) {
    const answer = await fetch(next, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
    })
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';', 1)[0].split(/=(.*)/s)
      if (value) cookies.set(name, value)
      else cookies.delete(name)
    }
    const location = answer.headers.get('location')
    if (!location) throw new Error(`signing in ended with ${answer.status} at ${next.origin}${next.pathname}: ${await answer.text()}`)
    next = new URL(location, next)
    const code = next.searchParams.get('code')
    if (code) return code
    if (next.searchParams.has('error')) throw new Error(`signing in was refused: ${next.searchParams}`)
  }
  throw new Error('signing in goes round in circles')
}
