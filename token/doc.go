// Package token says what an access token is and when it is good.
//
// Take removes the credential from a request, a Verifier checks it, and the
// result is an immutable Token. Everything behind it asks the Token; nobody
// parses the raw text again.
package token
