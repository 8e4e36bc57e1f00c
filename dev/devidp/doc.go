// Package devidp puts the development OpenID provider of package provider into
// Caddy, as the handler http.handlers.dev_idp and the directive dev_idp.
//
// It is for tests and demos on one machine. It refuses to load on a listener
// that is not loopback, and refuses each request whose Host, local address or
// remote address is not loopback; nothing in its configuration lifts that. It is
// linked by cmd/gatehouse-dev alone.
//
// The shortest useful Caddyfile:
//
//	{
//		default_bind 127.0.0.1
//	}
//	http://127.0.0.1:9000 {
//		dev_idp http://127.0.0.1:9000 {
//			client gateway gateway-secret {
//				grants client_credentials
//				scopes orders:read
//			}
//		}
//	}
package devidp
