package handlers

import "github.com/caddyserver/caddy/v2"

func init() {
	caddy.RegisterModule(TokenResource{})
	caddy.RegisterModule(TokenService{})
	caddy.RegisterModule(TokenAuth{})
	caddy.RegisterModule(TokenRequire{})
	caddy.RegisterModule(TokenLimit{})
	caddy.RegisterModule(TokenExchange{})
	caddy.RegisterModule(TokenMatcher{})
	caddy.RegisterModule(Transport{})
}
