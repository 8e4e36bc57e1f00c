// Package proof checks that whoever presents a token is the one it was made for:
// by a proof that a key signed (DPoP, RFC 9449) or by the certificate of the TLS
// connection (RFC 8705). It also makes DPoP proofs, for tokens that the gateway
// presents itself.
//
// The package knows no HTTP: it is told the fields, the method and the URLs as
// whoever speaks HTTP sees them, and decides nothing about which proxy to believe.
package proof
