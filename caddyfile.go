package gatehouse

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/handlers"
)

// appName is the Caddy app and the global option.
const appName = "gatehouse"

// The directives in the order of the request. Those at the door stand behind
// try_files, before everything that may answer. Those at the upstream stand
// before invoke, and so behind rate limits, basic_auth, forward_auth and
// request_header, which must not see the upstream's token, and before every
// handle.
var (
	atTheDoor     = []string{"token_resource", "token_service", "token_auth", "token_require", "token_limit"}
	atTheUpstream = []string{"token_exchange"}
)

func init() {
	httpcaddyfile.RegisterGlobalOption(appName, parseGlobalOption)
	httpcaddyfile.RegisterHandlerDirective("token_resource", parseHandler[handlers.TokenResource])
	httpcaddyfile.RegisterHandlerDirective("token_service", parseHandler[handlers.TokenService])
	httpcaddyfile.RegisterHandlerDirective("token_auth", parseHandler[handlers.TokenAuth])
	httpcaddyfile.RegisterHandlerDirective("token_require", parseHandler[handlers.TokenRequire])
	httpcaddyfile.RegisterHandlerDirective("token_limit", parseHandler[handlers.TokenLimit])
	httpcaddyfile.RegisterHandlerDirective("token_exchange", parseHandler[handlers.TokenExchange])

	// Each is put right behind try_files, so the last comes first.
	for _, directive := range slices.Backward(atTheDoor) {
		httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.After, "try_files")
	}
	for _, directive := range atTheUpstream {
		httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.Before, "invoke")
	}
}

// parseGlobalOption reads the global option gatehouse. A second one continues
// the first: Caddy keeps only what the last call returns, and hands over what
// the call before it did.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	var global config.Gatehouse
	if existing != nil {
		app, ok := existing.(httpcaddyfile.App)
		if !ok {
			return nil, d.Errf("the global option %s holds a %T from elsewhere", appName, existing)
		}
		if err := json.Unmarshal(app.Value, &global); err != nil {
			return nil, fmt.Errorf("reading the earlier global option %s: %w", appName, err)
		}
	}
	if err := global.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: appName, Value: caddyconfig.JSON(global, nil)}, nil
}

// parseHandler reads the directive of a handler that knows its own grammar.
func parseHandler[T any, P interface {
	*T
	caddyfile.Unmarshaler
	caddyhttp.MiddlewareHandler
}](h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := P(new(T))
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return handler, nil
}
