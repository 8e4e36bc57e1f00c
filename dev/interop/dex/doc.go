// Package dex runs the gateway with a real Dex, which is built from the module that
// server/go.mod pins, behind the build tag interop.
package dex
