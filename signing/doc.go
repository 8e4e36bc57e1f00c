// Package signing is the gateway's own authority: its keys, and the tokens that
// it mints with them for the services behind it.
package signing
