package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// defaultConfig is what Caddy's own commands read where no file is named.
const defaultConfig = "Caddyfile"

// load provisions a configuration as `caddy validate` does, and returns
// Gatehouse's app in it. Nothing is served or started.
func load(file, adapter string) (any, error) {
	if file == "" {
		if _, err := os.Stat(defaultConfig); err != nil {
			return nil, errors.New("no configuration: there is no Caddyfile in this folder, so name one with --config")
		}
		file, adapter = defaultConfig, "caddyfile"
	}
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var parsed *caddy.Config
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(text), &parsed); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	quiet(parsed)
	ctx, err := caddy.ProvisionContext(parsed)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", file, err)
	}
	app, err := ctx.AppIfConfigured(appName)
	if err != nil {
		return nil, fmt.Errorf("%s does not use Gatehouse: it has no token_auth", file)
	}
	return app, nil
}

// quiet lets errors alone through, to standard error: the configuration's own
// logs belong to the running gateway, and opening them could rotate its files.
func quiet(parsed *caddy.Config) {
	parsed.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{
			Level:     "ERROR",
			WriterRaw: json.RawMessage(`{"output":"stderr"}`),
		}},
	}}
}
