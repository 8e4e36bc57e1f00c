// Package introspection asks an authorization server about tokens that only it
// can read (RFC 7662), remembers what it says for a short while, and believes no
// more of an answer than the RFCs and the configuration warrant. It knows nothing
// of routes: audience, scope and revocation are judged on every request by others.
package introspection
