// Where the SDK keeps what it learns (OAuthClientProvider), in memory.
export class Credentials {
  seen = [] // every access token, for the report
  redirectUrl = 'http://127.0.0.1:9/callback'
  clientMetadata = {
    client_name: 'interop',
    redirect_uris: ['http://127.0.0.1:9/callback'],
    grant_types: ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  }

  clientInformation() { return this.information }
  saveClientInformation(information) { this.information = information }
  tokens() { return this.held }
  saveTokens(tokens) { this.held = tokens; this.seen.push(tokens.access_token) }
  codeVerifier() { return this.verifier }
  saveCodeVerifier(verifier) { this.verifier = verifier }
  redirectToAuthorization(url) { this.authorization = url }
}
