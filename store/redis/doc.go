// Package redis is the store of several nodes: it keeps what they remember together
// in Redis, of release 7 or later, or in what speaks its protocol: one server, a
// Cluster, or a master that Sentinels watch.
//
// # What Redis sees
//
// Whoever reads Redis learns how many things of which purpose there are, how long they
// live, how large they are and when they change, and nothing else. A name is the
// prefix, the kind, the purpose and an HMAC of the identifier; a value is sealed with
// AES-256-GCM and bound to its name. Whoever writes to Redis can take away, and put
// back what stood under the same name before, until the end that is sealed with it. He
// can make nothing that opens, and a value does not open under another name.
//
// # Two secrets
//
// While the secret rotates, nodes with the old one, with both and with the new one work
// beside each other: old; old and new; new and old; new, each step taken by all nodes
// before the next. Nodes of two neighbouring steps have a secret in common.
//
// A node with two secrets makes each mark under both names, in an order that does not
// depend on the configuration, and calls it fresh only if it was the first under both.
// Of two nodes that have a name in common one comes second there. So no two are told
// that one identifier is fresh, and the order lets one of the nodes with both win. This
// takes a second round trip.
//
// It puts a value under both names, sealed with the first secret, and reads the first
// name before the second. It deletes both. What is deleted by a node with one secret
// remains under the name that this node cannot know: others find it until they, too,
// have left that secret behind, or the value ends.
//
// It counts rates under the name of its first secret alone: no call may cost two round
// trips of every request. Between nodes of the two middle steps counts are apart.
//
// A log has no name that depends on a secret. Each record is sealed with the first
// secret of the node that appended it: until it ends, every node needs that secret.
//
// # The life of a log
//
// A position holds the life of the log that it was taken from: the run of the server,
// which changes at each start and with each failover, and a random text that is made
// with the stream. A server that has started again may have lost the end of the log,
// as Redis promises no more than the last second; one that was emptied has lost all.
// So a reader whose position is of another life is told so. It is told so, too, where
// the position lies behind all that the stream has ever held.
package redis
