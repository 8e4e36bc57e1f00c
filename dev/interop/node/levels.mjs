// Levels of a login (acr). Here everybody reaches what is asked for; what counts is
// that a session with a lower one is not enough, so that the login comes again.
import { interactionPolicy } from 'oidc-provider'

export const levels = ['silver', 'gold']

const { Check, base } = interactionPolicy

export function policy() {
  const prompts = base()
  prompts.get('login').checks.add(new Check('acr_values', 'a login of another level is asked for', (ctx) => {
    const asked = ctx.oidc.params.acr_values?.split(' ')
    const enough = !asked || asked.some((level) => levels.indexOf(ctx.oidc.acr) >= levels.indexOf(level))
    return enough ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT
  }))
  return prompts
}

// levelOf is what an access token tells of the login that it comes from (RFC 9470,
// section 6).
export function levelOf(ctx) {
  const code = ctx.oidc.entities.AuthorizationCode
  return code && { acr: code.acr, auth_time: code.authTime }
}
