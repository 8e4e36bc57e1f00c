// Package store is what the nodes of one gateway remember together: which proofs
// and assertions were used, and later the counters, small values and events that
// go with them.
//
// # The contract of every store
//
// Each use of a store has an interface of its own, so that what needs marks
// cannot reach counters, and a store implements those it can. For all of them:
//
// Errors. An error means that nothing is known: neither that the thing was done
// nor that it was not. Whoever asks refuses then (503, or 429 for ErrFull) and
// never goes on as if the answer had been the pleasant one; a caller may choose
// otherwise only where an operator's option says so by name. Errors wrap ErrFull,
// ErrUnavailable or the context's, and hold no identifier, value or address with
// credentials.
//
// Blocking. A method returns when ctx ends, and a store with a network behind it
// sets a shorter limit of its own. A store never retries what was not safe to do
// twice, and never answers from a local guess while it cannot reach its peers.
//
// Concurrency. Every method may be called from many goroutines at once, on many
// nodes. What the contract calls atomic is so across all of them: of two nodes
// that mark one identifier in the same instant exactly one is told that it is
// fresh.
//
// Expiry. A time is an absolute instant of the caller's clock. The store keeps a
// thing at least until then, and forgets it soon after. It forgets nothing before
// its time to make room: an old mark that is silently lost is a replay that
// passes. A store that is full says so.
//
// Names. A Purpose parts one kind of thing from another: an identifier used for
// one says nothing about the other, and no purpose can use up the room of
// another. Identifiers come from strangers: a store hashes them or bounds them,
// and never joins them into names that two of them could share.
//
// Every implementation passes the tests in package storetest.
package store
