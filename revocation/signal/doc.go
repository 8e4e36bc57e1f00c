// Package signal is how others say what is no longer good: OpenID Connect
// Back-Channel Logout 1.0, and Security Event Tokens (RFC 8417) that a transmitter
// of OpenID Shared Signals pushes (RFC 8935). What it verified it puts on the list of
// revocations; see package revocation.
//
// Whoever may reach these endpoints can send anything. Nothing is remembered of a
// text before its signature was verified, and nobody speaks for the tokens of another
// issuer than its own.
package signal
