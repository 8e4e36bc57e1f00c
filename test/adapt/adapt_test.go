// Package adapt_test adapts Caddyfiles and compares what comes of them with
// golden files.
//
// A golden file is a Caddyfile, a line of ten hyphens, and the JSON that it
// becomes or the message that refuses it. The files in load are adapted and
// then validated as `caddy validate` does: their message is what only the whole
// configuration shows. After a change of grammar or words,
//
//	go test ./test/adapt -update
//
// writes the files anew, for a reader to look at every difference.
package adapt_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"

	_ "github.com/caddy-gatehouse/gatehouse"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	extension = ".caddyfiletest"
	separator = "\n----------\n"
)

func TestGolden(t *testing.T) {
	t.Setenv("GATEHOUSE_TEST_EMPTY", "")
	t.Setenv("GATEHOUSE_TEST_ANY", "any")
	t.Setenv("GATEHOUSE_TEST_HTTP", "http://idp.example.com")
	t.Setenv("GATEHOUSE_TEST_KEYS", "https://keys.example.com/jwks")
	t.Setenv("GATEHOUSE_TEST_HOUR", "1h")
	for _, path := range goldenFiles(t) {
		t.Run(strings.TrimSuffix(path, extension), func(t *testing.T) {
			caddyfile, want := readGolden(t, path)
			got := adapt(t, caddyfile)
			if filepath.Dir(path) == "load" {
				got = load(t, got)
			}
			if *update {
				writeGolden(t, path, caddyfile+separator+got+"\n")
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("adapting %s (-want +got):\n%s", path, diff)
			}
		})
	}
}

// goldenFiles returns the golden files below this folder. There must be some:
// a moved folder would make the test pass by testing nothing.
func goldenFiles(tb testing.TB) []string {
	tb.Helper()
	var paths []string
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && strings.HasSuffix(path, extension) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		tb.Fatalf("looking for golden files: %d found, %v", len(paths), err)
	}
	return paths
}

func readGolden(tb testing.TB, path string) (caddyfile, want string) {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	caddyfile, want, ok := strings.Cut(string(content), separator)
	if !ok && !*update {
		tb.Fatalf("%s has no line of ten hyphens", path)
	}
	return strings.TrimRight(caddyfile, "\n"), strings.TrimRight(want, "\n")
}

func writeGolden(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// adapt returns the JSON that a Caddyfile becomes, or the message that refuses
// it.
func adapt(t *testing.T, caddyfile string) string {
	t.Helper()
	result, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile+"\n"), nil)
	if err != nil {
		return err.Error()
	}
	for _, warning := range warnings {
		t.Errorf("warning: %s", warning)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, result, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return pretty.String()
}

// load returns the message that refuses an adapted configuration, without
// Caddy's own words in front, which say how deep in the routes the module is.
func load(t *testing.T, adapted string) string {
	t.Helper()
	var cfg caddy.Config
	if err := json.Unmarshal([]byte(adapted), &cfg); err != nil {
		t.Fatalf("the Caddyfile is refused already: %s", adapted)
	}
	err := caddy.Validate(&cfg)
	if err == nil {
		return "loads"
	}
	_, own, _ := strings.Cut(err.Error(), "provision gatehouse: ")
	if own == "" {
		message := err.Error()
		at := max(strings.LastIndex(message, "provision http.handlers."), strings.LastIndex(message, "provision http.matchers."))
		own = message[max(0, at):]
	}
	return own
}
