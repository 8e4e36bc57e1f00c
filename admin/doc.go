// Package admin is for the people who run the gateway: the commands
// `caddy gatehouse …`. It reaches the app through interfaces of its own.
package admin
