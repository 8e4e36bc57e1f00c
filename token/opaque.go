package token

import "time"

// Introspected reads what an issuer said about a token that the gateway cannot
// read itself (RFC 7662, section 2.2). The shape of every registered claim is
// checked as in a JWT; what the claims say is checked on every request. Where the
// answer names no issuer it is the one that was asked; until is the expiry where
// the answer has none.
func Introspected(issuer string, claims Claims, digest Digest, until time.Time) (*Token, error) {
	reader := claimReader{claims: claims}
	found := &Token{
		Issuer:    reader.text("iss"),
		Subject:   reader.text("sub"),
		Client:    reader.text("client_id"),
		ID:        reader.text("jti"),
		ACR:       reader.text("acr"),
		AMR:       reader.texts("amr"),
		AuthTime:  reader.time("auth_time"),
		Audience:  reader.texts("aud"),
		Expiry:    reader.time("exp"),
		NotBefore: reader.time("nbf"),
		IssuedAt:  reader.time("iat"),
		Claims:    claims,
		Digest:    digest,
	}
	if text, ok := claims.Text("scope"); ok {
		found.Scopes = words(text)
	} else {
		found.Scopes = reader.texts("scope")
	}
	if act, ok := claims.Get("act"); ok {
		found.Actor = reader.actor(act)
	}
	if !claims.Has("iss") {
		found.Issuer = issuer
	}
	if !claims.Has("exp") {
		found.Expiry = until
	}
	return found, reader.err
}

// Weight estimates the bytes of memory that a token takes, for those who keep it.
func (t *Token) Weight() uint64 { return weigh(t) }
