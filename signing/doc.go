// Package signing holds the gateway's own keys: those that sign the tokens it
// mints, and the key set that the world verifies them with.
//
// Every key passes through four states: pending (published, not yet signing),
// active, retired (published, its private part erased), gone. The keys lie in one
// document in a storage that all nodes share, and a node signs only with a key that
// it has read back from there: what two nodes do at once may lose a key, but never
// one that a token was signed with.
package signing
