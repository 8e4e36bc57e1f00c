// Package cluster holds the runs of three gateways with one Redis, each on a machine of
// its own as far as this one allows: what is revoked on one node is refused on all,
// whatever fails in between. They are tests with the build tag cluster; `make cluster`
// runs them.
package cluster
