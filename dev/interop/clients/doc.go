// Package clients runs JavaScript clients that nobody here wrote against the
// gateway's token_service, behind the build tag interop.
package clients
