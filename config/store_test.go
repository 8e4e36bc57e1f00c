package config

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/store"
)

func TestStoreByJSON(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	seal := &Seal{Secrets: []Secret{"0123456789abcdef0123456789abcdef"}}
	for name, tt := range map[string]struct {
		g    Gatehouse
		want string
	}{
		"no module":     {Gatehouse{StoreRaw: []byte(`{}`)}, "store: the module is missing"},
		"no object":     {Gatehouse{StoreRaw: []byte(`"redis"`)}, "store: the module is missing"},
		"no seal":       {Gatehouse{StoreRaw: []byte(`{"module":"redis","urls":["redis://localhost"]}`)}, "store redis: what it writes to Redis is sealed"},
		"no URL":        {Gatehouse{Seal: seal, StoreRaw: []byte(`{"module":"redis"}`)}, "the URL is missing"},
		"credentials":   {Gatehouse{Seal: seal, StoreRaw: []byte(`{"module":"redis","urls":["redis://:canary@localhost"]}`)}, "it holds a username or password"},
		"unknown words": {Gatehouse{Seal: seal, StoreRaw: []byte(`{"module":"redis","url":"redis://localhost"}`)}, `unknown field "url"`},
		"unknown":       {Gatehouse{StoreRaw: []byte(`{"module":"nosuch"}`)}, "unknown module: gatehouse.stores.nosuch"},
	} {
		err := tt.g.Check()
		if err == nil {
			_, err = tt.g.LoadStore(ctx)
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v; want %q", name, err, tt.want)
		}
	}
}

// Every setting that makes it another store shows in its shape.
func TestShapesOfStores(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	seal := &Seal{Secrets: []Secret{"0123456789abcdef0123456789abcdef"}}
	var shapes [][]string
	for _, raw := range []string{
		"", `{"module":"memory","path":"/a"}`,
		`{"module":"redis","urls":["redis://localhost"]}`, `{"module":"redis","urls":["redis://localhost","redis://[::1]"]}`,
		`{"module":"redis","urls":["redis://localhost"],"password":"p"}`, `{"module":"redis","urls":["redis://localhost"],"username":"u","password":"p"}`,
		`{"module":"redis","urls":["redis://localhost"],"sentinel":"s"}`, `{"module":"redis","urls":["redis://localhost"],"tls":{}}`,
		`{"module":"redis","urls":["redis://localhost"],"prefix":"p"}`, `{"module":"redis","urls":["redis://localhost"],"timeout":"1s"}`,
	} {
		g := Gatehouse{Seal: seal}
		if raw != "" {
			g.StoreRaw = []byte(raw)
		}
		module, err := g.LoadStore(ctx)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		for _, other := range shapes {
			if slices.Equal(other, module.Shape()) {
				t.Errorf("%s has the shape of another: %q", raw, other)
			}
		}
		shapes = append(shapes, module.Shape())
		made, err := module.NewStore(StoreSetup{
			Seals: seal.Reveal(), Log: slog.New(slog.DiscardHandler), Unreadable: func(store.Purpose, bool) {},
		})
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if err := made.Close(); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestStaleness(t *testing.T) {
	for name, tt := range map[string]struct {
		r     *Revocation
		bound time.Duration
		open  bool
	}{
		"none":   {nil, 30 * time.Second, false},
		"empty":  {&Revocation{}, 30 * time.Second, false},
		"closed": {&Revocation{MaxStaleness: "5s", WhenStale: "closed"}, 5 * time.Second, false},
		"open":   {&Revocation{MaxStaleness: "5s", WhenStale: "open"}, 5 * time.Second, true},
	} {
		if bound, open := tt.r.Staleness(); bound != tt.bound || open != tt.open {
			t.Errorf("%s: %s, %t", name, bound, open)
		}
	}
}
