package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// written are the words that an operator may write in a Caddyfile.
var written = []struct{ what, files, pattern string }{
	{"option", "config/*.go", `\{word: "([a-z_]+)"`},
	{"rule", "config/rule.go", `Rule[A-Z]\w+ += "([a-z_]+)"`},
	{"source", "config/from.go", `From[A-Z]\w+ += "([a-z_]+)"`},
	{"form", "config/user_id.go", `UserID[A-Z]\w+ += "([a-z_]+)"`},
	{"directive", "caddyfile.go", `RegisterHandlerDirective\("([a-z_]+)"`},
	{"matcher", "handlers/*.go", `"http\.matchers\.([a-z_]+)"`},
	{"function", "handlers/celfunctions.go", `function\{name: "([a-z_]+)"`},
}

// TestEveryWordHasAnExample finds each word of the configuration in a Caddyfile of
// docs/reference.md, and in the golden file that holds everything.
func TestEveryWordHasAnExample(t *testing.T) {
	var examples strings.Builder
	found, _ := blocks(documents(t)["docs/reference.md"])
	for _, block := range found {
		if block.language == "caddyfile" {
			examples.WriteString(block.text)
		}
	}
	golden, err := os.ReadFile(filepath.Join(harness.Root(), "test", "adapt", "everything.caddyfiletest"))
	if err != nil {
		t.Fatal(err)
	}
	everything, _, _ := strings.Cut(string(golden), "\n----------\n")
	for _, kind := range written {
		words := wordsOf(t, kind.files, kind.pattern)
		if len(words) == 0 {
			t.Errorf("no %s was found in %s", kind.what, kind.files)
		}
		for _, word := range words {
			if !mentions(examples.String(), word) {
				t.Errorf("docs/reference.md has no example of the %s %q", kind.what, word)
			}
			if !mentions(everything, word) {
				t.Errorf("test/adapt/everything.caddyfiletest lacks the %s %q", kind.what, word)
			}
		}
	}
}
