package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// TestRecipesAreExamples holds that what docs/providers.md shows is what the tests
// run, some of them with the real provider: a part of the example that it links.
func TestRecipesAreExamples(t *testing.T) {
	sections := strings.Split(documents(t)["docs/providers.md"], "\n## ")[1:]
	if len(sections) < 7 {
		t.Errorf("only %d recipes", len(sections))
	}
	for _, section := range sections {
		provider, _, _ := strings.Cut(section, "\n")
		linked := regexp.MustCompile(`\(\.\./(examples/[^/)]+)/README\.md\)`).FindStringSubmatch(section)
		found, _ := blocks(section)
		if linked == nil || len(found) == 0 {
			t.Errorf("%s: no example, or no Caddyfile", provider)
			continue
		}
		example, err := os.ReadFile(filepath.Join(harness.Root(), linked[1], "Caddyfile"))
		if err != nil {
			t.Fatal(err)
		}
		for _, shown := range found {
			if !strings.Contains(flush(string(example)), flush(shown.text)) {
				t.Errorf("%s: what is shown is not in %s/Caddyfile", provider, linked[1])
			}
		}
	}
}

// flush takes the indentation off every line.
func flush(text string) string {
	var lines []string
	for line := range strings.Lines(strings.TrimSpace(text)) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}
