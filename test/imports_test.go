package test

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module is the root module's path, and of its root package.
const module = "github.com/caddy-gatehouse/gatehouse"

// domain is the plain Go part of the house, each package with the packages of
// ours it may import. A new package of the domain gets its row here first.
var domain = map[string][]string{
	"jose":              nil,
	"store":             nil,
	"store/redis":       {"store"},
	"internal/httpx":    nil,
	"internal/flight":   nil,
	"internal/httpbody": nil,
	"authserver":        {"jose", "internal/httpx"},
	"keys":              {"jose", "authserver"},
	"token":             {"jose", "keys"},
	"statuslist":        {"jose", "keys", "token"},
	"introspection":     {"token", "authserver", "jose", "keys", "internal/flight"},
	"proof":             {"jose", "token", "store"},
	"policy":            {"token"},
	"signing":           {"jose", "token", "keys"},
	"exchange":          {"jose", "token", "authserver", "signing", "proof", "store", "internal/flight"},
	"sts":               {"jose", "keys", "token", "exchange", "signing", "proof", "store", "internal/httpbody"},
	"revocation":        {"jose", "keys", "authserver", "token", "store"},
	"revocation/signal": {"jose", "keys", "revocation", "store", "internal/httpbody"},
	"limit":             {"store"},
	"session":           {"jose", "token", "authserver", "store"},
	"audit":             {"token", "policy"},
	"webhook":           {"internal/httpx"},
}

// around is what stands between the domain and Caddy. `domain` in a row means
// any package of the domain but internal/httpx, internal/httpbody and
// internal/flight, which are those of their rows alone.
var around = map[string][]string{
	"":                   {"config", "handlers", "admin", "internal/lease", "internal/metrics", "domain"},
	"config":             {"internal/metrics", "domain"},
	"handlers":           {"config", "internal/metrics", "domain"},
	"admin":              {"config", "domain", "internal/httpbody"},
	"internal/lease":     nil,
	"internal/metrics":   nil,
	"internal/tokentest": {"domain"},
	"store/storetest":    {"store"},
	"cmd/caddy":          {""},
}

// forTests are what only tests import: of any package, since a test of the rules
// needs a key to sign a token with, and a test of a store its contract.
var forTests = []string{"internal/tokentest", "store/storetest"}

// reserved tells what of the domain only the rows that name it may import.
func reserved(pkg string) bool {
	return pkg == "internal/httpx" || pkg == "internal/httpbody" || pkg == "internal/flight"
}

// domainNever are the modules that only the packages around the domain know.
var domainNever = []string{
	"github.com/caddyserver",
	"go.uber.org/zap",
	"github.com/prometheus",
	module + "/internal/lease",
	module + "/internal/metrics",
}

const joseLibrary = "github.com/lestrrat-go/jwx"

// nameless are package names that say nothing of what is in them.
var nameless = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base"}

// mayInit lists the packages that register modules with Caddy.
var mayInit = []string{"", "config", "handlers", "admin"}

// TestImports holds every package of the root module to the laws.
func TestImports(t *testing.T) {
	units := load(t, "..")
	if len(units) < 3 {
		t.Fatalf("go list found %d packages: the laws were held over nothing", len(units))
	}
	for _, u := range units {
		for _, breach := range breaches(u) {
			t.Error(breach)
		}
	}
}

// TestDevImports holds the dev module to the one law that reaches it: it uses
// the plugin as a user does, through the root package and the configuration.
func TestDevImports(t *testing.T) {
	for _, u := range load(t, "../dev") {
		for _, imported := range slices.Concat(u.imports, u.tests) {
			if ours, ok := relative(imported); ok && (ours == "handlers" || ours == "admin") {
				t.Errorf("dev/%s imports %s: only the root does", u.path, ours)
			}
		}
	}
}

// TestRootNeverRequiresDev keeps the dev module's dependencies out of users'
// builds. A replacement would do it unseen: Go ignores it in a dependency.
func TestRootNeverRequiresDev(t *testing.T) {
	var mod struct {
		Require []struct{ Path string }
		Replace []struct{ Old struct{ Path string } }
	}
	if err := json.Unmarshal(run(t, "..", "go", "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Require) == 0 {
		t.Fatal("go.mod requires nothing: it was not read")
	}
	for _, r := range mod.Require {
		if strings.HasPrefix(r.Path, module) {
			t.Errorf("go.mod requires %s: tests build what is in dev/ and drive it as a process", r.Path)
		}
	}
	for _, r := range mod.Replace {
		t.Errorf("go.mod replaces %s: a user's build would not", r.Old.Path)
	}
}

// TestImportLaws shows each law broken once, so that none is held in name only.
func TestImportLaws(t *testing.T) {
	for _, tt := range []struct {
		name string
		unit unit
		want []string
	}{
		{"allowed", unit{path: "token", imports: []string{"strings", module + "/jose"}}, nil},
		{"allowed around", unit{path: "handlers", imports: []string{module + "/token", "github.com/caddyserver/caddy/v2"}}, nil},
		{"allowed in the root", unit{path: "", imports: []string{module + "/admin"}, inits: []string{"module.go"}}, nil},
		{"allowed in commands", unit{path: "cmd/caddy", imports: []string{module}}, nil},
		{"allowed in tests", unit{path: "policy", tests: []string{module + "/internal/tokentest", module + "/jose", module + "/policy"}}, nil},
		{"allowed in integration tests", unit{path: "test/attack", tests: []string{module, "github.com/caddyserver/caddy/v2"}}, nil},
		{"unknown package", unit{path: "magic"}, []string{"magic is in no row of the table: decide who may import whom"}},
		{"upwards", unit{path: "jose", imports: []string{module + "/token"}}, []string{"jose imports token"}},
		{"sideways", unit{path: "policy", imports: []string{module + "/jose"}}, []string{"policy imports jose"}},
		{"the HTTP client", unit{path: "config", imports: []string{module + "/internal/httpx"}}, []string{"config imports internal/httpx"}},
		{"handlers to root", unit{path: "handlers", imports: []string{module}}, []string{"handlers imports the root package"}},
		{"config to handlers", unit{path: "config", imports: []string{module + "/handlers"}}, []string{"config imports handlers"}},
		{"command to admin", unit{path: "cmd/caddy", imports: []string{module + "/admin"}}, []string{"cmd/caddy imports admin"}},
		{"dev", unit{path: "", imports: []string{module + "/dev/devidp"}}, []string{"the root package imports dev/devidp"}},
		{"test issuer", unit{path: "keys", imports: []string{module + "/internal/tokentest"}}, []string{"keys imports internal/tokentest"}},
		{"store's contract", unit{path: "store", imports: []string{module + "/store/storetest"}}, []string{"store imports store/storetest"}},
		{"store's contract in its test", unit{path: "store", tests: []string{module + "/store/storetest"}}, nil},
		{"test to handlers", unit{path: "test", tests: []string{module + "/handlers"}}, []string{"a test of test imports handlers"}},
		{"test to lease", unit{path: "config", tests: []string{module + "/internal/lease"}}, []string{"a test of config imports internal/lease"}},
		{"test to the HTTP client", unit{path: "keys", tests: []string{module + "/internal/httpx"}}, []string{"a test of keys imports internal/httpx"}},
		{"caddy in the domain", unit{path: "exchange", imports: []string{"github.com/caddyserver/certmagic"}}, []string{
			"exchange imports github.com/caddyserver/certmagic: the domain is plain Go",
		}},
		{"zap in a domain test", unit{path: "audit", tests: []string{"go.uber.org/zap"}}, []string{
			"a test of audit imports go.uber.org/zap: the domain is plain Go",
		}},
		{"metrics in the domain", unit{path: "keys", imports: []string{module + "/internal/metrics"}}, []string{
			"keys imports internal/metrics",
			"keys imports " + module + "/internal/metrics: the domain is plain Go",
		}},
		{"jwx", unit{path: "token", imports: []string{joseLibrary + "/v3/jwt"}}, []string{"token imports " + joseLibrary + "/v3/jwt: only jose does"}},
		{"jwx in jose", unit{path: "jose", imports: []string{joseLibrary + "/v3/jwk"}}, nil},
		{"name", unit{path: "token", name: "common"}, []string{"token: package common says nothing of what is in it"}},
		{"init", unit{path: "token", inits: []string{"token.go"}}, []string{"token/token.go: init belongs where modules are registered"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, breaches(tt.unit)); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
}

// breaches lists the laws that u breaks.
func breaches(u unit) []string {
	var found []string
	say := func(parts ...string) { found = append(found, strings.Join(parts, "")) }

	if !known(u.path) {
		say(u.path, " is in no row of the table: decide who may import whom")
	}
	if slices.Contains(nameless, u.name) {
		say(u.path, ": package ", u.name, " says nothing of what is in it")
	}
	for _, imported := range u.imports {
		if ours, ok := relative(imported); ok && !mayImport(u.path, ours) {
			say(title(u.path), " imports ", title(ours))
		}
		if why := foreign(u.path, imported); why != "" {
			say(title(u.path), " imports ", imported, why)
		}
	}
	for _, imported := range u.tests {
		if ours, ok := relative(imported); ok && !testMayImport(u.path, ours) {
			say("a test of ", title(u.path), " imports ", title(ours))
		}
		if why := foreign(u.path, imported); why != "" {
			say("a test of ", title(u.path), " imports ", imported, why)
		}
	}
	for _, file := range u.inits {
		if !slices.Contains(mayInit, u.path) && !strings.HasPrefix(u.path, "cmd/") {
			say(path.Join(u.path, file), ": init belongs where modules are registered")
		}
	}
	return found
}

func known(pkg string) bool {
	_, inside := domain[pkg]
	_, outside := around[pkg]
	return inside || outside || integration(pkg)
}

// integration is true for the packages that hold tests alone.
func integration(pkg string) bool {
	return pkg == "test" || strings.HasPrefix(pkg, "test/")
}

func mayImport(pkg, imported string) bool {
	if row, ok := domain[pkg]; ok {
		return slices.Contains(row, imported)
	}
	if row, ok := around[pkg]; ok {
		_, inside := domain[imported]
		return slices.Contains(row, imported) ||
			inside && !reserved(imported) && slices.Contains(row, "domain")
	}
	// What integration tests share may use what they use.
	return integration(pkg) && testMayImport(pkg, imported)
}

// testMayImport gives tests the whole domain and what is for tests besides what
// their package may import.
func testMayImport(pkg, imported string) bool {
	switch {
	case imported == pkg, slices.Contains(forTests, imported):
		return true
	case integration(pkg):
		_, inside := domain[imported]
		return imported == "" || imported == "config" || integration(imported) || inside && !reserved(imported)
	}
	_, inside := domain[imported]
	return mayImport(pkg, imported) || inside && !reserved(imported)
}

// foreign says why pkg may not import a package that is not ours.
func foreign(pkg, imported string) string {
	if under(imported, joseLibrary) && pkg != "jose" {
		return ": only jose does"
	}
	if _, ok := domain[pkg]; ok && slices.ContainsFunc(domainNever, func(never string) bool { return under(imported, never) }) {
		return ": the domain is plain Go"
	}
	return ""
}

func under(pkg, prefix string) bool {
	return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
}
