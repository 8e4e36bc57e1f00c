// Package gatehouse is a token boundary for Caddy.
//
// It validates the caller's token, decides what that token may do, and hands
// each upstream a different, narrower, short-lived token made for that upstream
// alone. The caller's own token never travels further.
//
// The shortest useful Caddyfile:
//
//	api.example.com {
//		token_auth https://idp.example.com/realms/main {
//			audience https://api.example.com
//		}
//		token_require scope orders:read
//		reverse_proxy orders.internal:8080
//	}
//
// The package itself holds the Caddy app and registers the directives. What a
// token is lies in package token, what it may do in package policy, and what an
// upstream gets instead in package exchange: all plain Go without Caddy.
package gatehouse
