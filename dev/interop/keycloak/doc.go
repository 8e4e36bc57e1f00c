// Package keycloak runs the gateway with a real Keycloak.
//
// install.sh puts Keycloak into a folder, realm.json is its configuration and the
// recipe for operators, and the tests, behind the build tag interop, start it on
// loopback and go through a running Caddy. `make interop` does all of it.
package keycloak
