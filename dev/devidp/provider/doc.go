// Package provider is an OpenID provider for development: small, complete
// enough to drive a real gateway, and able to misbehave on request.
//
// It is plain Go on top of github.com/zitadel/oidc's op package, which does the
// routing, the request parsing and the checks of an authorization request. What
// this package adds is what a gateway's tests need: JWT access tokens as RFC
// 9068 asks (typ at+jwt, a scope claim, client_id, jti), token exchange (RFC
// 8693) with an allow-list of targets, a login page, and three endpoints under
// /dev that change its behaviour, mint any token and count requests.
//
// Never run it where anyone but its developer can reach it. Its passwords lie in
// a configuration file, its keys in memory, and one token commands all of it.
package provider
