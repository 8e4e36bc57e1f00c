// Package authserver is an authorization server as its clients see it: where its
// endpoints are, which keys it publishes, and how to ask it for a token.
package authserver
