// Command gatehouse-dev is Caddy with its standard modules, Gatehouse, an OpenID
// provider for development (dev_idp) and a key module as others write it (dev_slot).
// It is for tests and demos on one machine and is never to be deployed.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gatehouse/gatehouse"
	_ "github.com/caddy-gatehouse/gatehouse/dev/devidp"
	_ "github.com/caddy-gatehouse/gatehouse/dev/devkey"
)

func main() {
	caddycmd.Main()
}
