// Package sts is the gateway's own token service: a token endpoint for the services
// behind the gateway (client credentials and OAuth 2.0 Token Exchange, RFC 8693),
// with introspection (RFC 7662, RFC 9701) and revocation (RFC 7009) of what it
// issued.
//
// It denies by default: a client may do what its lines name, and nothing else. What
// a token says decides what happens to it, never which parameters were sent: a token
// that names who may act for its subject needs that actor, and one that names actors
// keeps them.
package sts
