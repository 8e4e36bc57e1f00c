// Package jose reads, checks and makes JOSE objects: JSON Web Signatures (RFC 7515),
// keys and key sets (RFC 7517) and the algorithms between them (RFC 7518,
// RFC 8037).
//
// The package decides nothing about trust. It parses strictly, and it verifies a
// signature with one key and one algorithm that travel as a pair: the caller
// chooses both from configuration, never from the token alone (RFC 8725,
// section 3.1). It is the only package that knows the JOSE library.
package jose
