// Package interop holds tests in which clients that nobody here wrote talk to the
// gateway.
package interop
