// Package harness runs a real Caddy with Gatehouse for tests: a process built
// from the module dev, configured by a Caddyfile, between an upstream that
// records what it receives and authorization servers that tests control.
package harness
