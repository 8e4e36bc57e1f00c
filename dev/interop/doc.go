// Package interop holds tests in which clients that nobody here wrote talk to the
// gateway, and what the runs with servers beside it have in common.
package interop
