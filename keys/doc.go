// Package keys is where verification keys come from: files and key sets that an
// issuer publishes and renews.
//
// A State holds what was learned and outlives configurations; a Source knows how
// to learn it and lives as long as its configuration. Readers never wait behind
// a fetch for a key that is already there.
package keys
