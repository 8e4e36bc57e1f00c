package adapt_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-gatehouse/gatehouse/config"
)

// FuzzCaddyfile adapts whatever it is given: it may be refused, and must not
// panic. What is adapted is then expanded and checked as at load, which must not
// panic either. Every golden Caddyfile is a seed.
func FuzzCaddyfile(f *testing.F) {
	for _, path := range goldenFiles(f) {
		caddyfile, _ := readGolden(f, path)
		f.Add(caddyfile)
	}
	f.Fuzz(func(t *testing.T, caddyfile string) {
		// An import would read files of this machine.
		if strings.Contains(caddyfile, "import") {
			return
		}
		result, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
		if err != nil {
			return
		}
		var adapted struct {
			Apps struct {
				Gatehouse config.Gatehouse `json:"gatehouse"`
				HTTP      any              `json:"http"`
			} `json:"apps"`
		}
		if err := json.Unmarshal(result, &adapted); err != nil {
			t.Fatalf("reading what was adapted: %v", err)
		}
		global := &adapted.Apps.Gatehouse
		if global.Expand(replacer()) != nil || global.Check() != nil {
			return
		}
		eachHandler(t, adapted.Apps.HTTP, func(name string, raw []byte) {
			checkHandler(t, global, name, raw)
		})
	})
}

// eachHandler finds the handlers in whatever routes of Caddy's.
func eachHandler(t *testing.T, node any, visit func(name string, raw []byte)) {
	t.Helper()
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			eachHandler(t, child, visit)
		}
	case map[string]any:
		if name, ok := node["handler"].(string); ok {
			raw, err := json.Marshal(node)
			if err != nil {
				t.Fatal(err)
			}
			visit(name, raw)
		}
		for _, child := range node {
			eachHandler(t, child, visit)
		}
	}
}

func checkHandler(t *testing.T, global *config.Gatehouse, name string, raw []byte) {
	t.Helper()
	handlers := map[string]interface {
		Expand(repl *caddy.Replacer) error
		Check(global *config.Gatehouse) error
	}{
		"token_auth":     new(config.TokenAuth),
		"token_require":  new(config.TokenRequire),
		"token_exchange": new(config.TokenExchange),
	}
	handler, ok := handlers[name]
	if !ok {
		return
	}
	if err := json.Unmarshal(raw, handler); err != nil {
		t.Fatalf("reading %s: %v", raw, err)
	}
	if handler.Expand(replacer()) == nil {
		_ = handler.Check(global) // whether it is good does not matter here
	}
}

// replacer fills variables and files from nowhere: the fuzzer must not read
// those of this machine.
func replacer() *caddy.Replacer {
	repl := caddy.NewEmptyReplacer()
	repl.Map(func(key string) (any, bool) {
		return "a", strings.HasPrefix(key, "env.") || strings.HasPrefix(key, "file.")
	})
	return repl
}
