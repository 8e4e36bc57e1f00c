// Package limit counts requests by key, and says which of them are too many. It counts
// in its own process, or in a store that all nodes share.
package limit
