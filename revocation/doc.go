// Package revocation holds the list of what is no longer good before its time: one
// token, all of a subject's, of a session's, of a client's, of an issuer's, or those
// signed with one key.
//
// A revocation is an Event in a log that all nodes read (see store.Log). Each node
// holds the whole list in memory: a token is checked by a few look-ups and no
// network, on every request. A State follows the log, and tells whoever keeps what
// was derived from tokens (issued tokens, answers, open streams) of what came in.
// A Guard asks the list about every token that a verifier found good.
//
// What the node does not know it does not guess: before the whole list was read no
// token is good, and when the log has been out of reach for longer than the
// configured bound the operator's word counts.
package revocation
