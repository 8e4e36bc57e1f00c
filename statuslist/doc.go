// Package statuslist knows what issuers say of their tokens in lists that they
// publish (Token Status List, draft-ietf-oauth-status-list).
//
// A State holds the lists and outlives configurations; Lists are how one
// configuration learns them. Nobody waits for a list that is there: what is asked on
// a request is one entry of an array in memory. A list is fetched only from where its
// issuer's may lie, believed only with the issuer's signature, and bounded in every
// respect: whoever holds many tokens must not be able to make the gateway call around,
// nor grow its memory.
package statuslist
