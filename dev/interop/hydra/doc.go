// Package hydra runs the gateway with a real Ory Hydra, which is built from the module
// that server/go.mod pins, behind the build tag interop.
package hydra
