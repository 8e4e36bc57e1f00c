package test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Wrappers make a whole Caddyfile of a fragment in the documentation. A fence
// says which it needs: ```caddyfile fragment site.
var wrappers = map[string][2]string{
	"":                {"", ""},
	"fragment site":   {":8080 {\n", "}\n"},
	"fragment global": {"{\n", "}\n"},
}

// documents are the pages for operators, by their path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	root := os.DirFS(harness.Root())
	pages := make(map[string]string)
	for _, pattern := range []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/*.md", "examples/*/README.md", "deploy/README.md"} {
		paths, err := fs.Glob(root, pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no page is %s: %v", pattern, err)
		}
		for _, path := range paths {
			content, err := fs.ReadFile(root, path)
			if err != nil {
				t.Fatal(err)
			}
			pages[path] = string(content)
		}
	}
	return pages
}

// A block is what stands between two fences.
type block struct{ language, info, text string }

// blocks takes the fenced blocks out of a page. A block within a list loses the
// indentation of its fence.
func blocks(page string) (found []block, rest string) {
	var prose strings.Builder
	var inside *block
	indent := ""
	for line := range strings.Lines(page) {
		trimmed := strings.TrimLeft(line, " ")
		switch fence, isFence := strings.CutPrefix(trimmed, "```"); {
		case isFence && inside == nil:
			language, info, _ := strings.Cut(strings.TrimSpace(fence), " ")
			inside, indent = &block{language: language, info: info}, line[:len(line)-len(trimmed)]
		case isFence:
			found, inside = append(found, *inside), nil
		case inside != nil:
			inside.text += strings.TrimPrefix(line, indent)
		default:
			prose.WriteString(line)
		}
	}
	return found, prose.String()
}

// TestDocumentedCaddyfiles adapts every Caddyfile in the documentation.
func TestDocumentedCaddyfiles(t *testing.T) {
	adapted := 0
	for path, page := range documents(t) {
		found, _ := blocks(page)
		for _, block := range found {
			if block.language != "caddyfile" {
				continue
			}
			wrap, ok := wrappers[block.info]
			if !ok {
				t.Errorf("%s: a fence says %q, which no wrapper knows", path, block.info)
			}
			if warnings := adaptText(t, wrap[0]+block.text+wrap[1]); block.info == "" && len(warnings) > 0 {
				t.Errorf("%s: %v\n%s", path, warnings, block.text)
			}
			adapted++
		}
	}
	if adapted < 10 {
		t.Errorf("only %d Caddyfiles were found", adapted)
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	// punctuation is what a heading's anchor leaves out.
	punctuation = regexp.MustCompile(`[^\p{L}\p{N}_-]`)
)

// TestLinks follows every relative link to its file and its heading.
func TestLinks(t *testing.T) {
	followed, known := 0, make(pages)
	for path, page := range documents(t) {
		_, prose := blocks(page)
		for _, found := range link.FindAllStringSubmatch(prose, -1) {
			if !strings.Contains(found[1], "://") {
				known.follow(t, path, found[1])
				followed++
			}
		}
	}
	if followed < 20 {
		t.Errorf("only %d links were found", followed)
	}
}

// pages are the anchors of the pages that were read: many links lead to the same few.
type pages map[string][]string

func (p pages) follow(t *testing.T, from, to string) {
	t.Helper()
	file, anchor, _ := strings.Cut(to, "#")
	target := filepath.Join(harness.Root(), from)
	if file != "" {
		target = filepath.Join(harness.Root(), filepath.Dir(from), file)
	}
	if _, err := os.Stat(target); err != nil {
		t.Errorf("%s: the link %s leads nowhere", from, to)
		return
	}
	if anchor == "" {
		return
	}
	if _, ok := p[target]; !ok {
		content, err := os.ReadFile(target)
		if err != nil {
			t.Error(err)
		}
		p[target] = anchors(string(content))
	}
	if !slices.Contains(p[target], anchor) {
		t.Errorf("%s: the link %s leads to no heading", from, to)
	}
}

// anchors are the names of a page's headings as GitHub makes them.
func anchors(page string) []string {
	_, prose := blocks(page)
	var names []string
	for _, found := range heading.FindAllStringSubmatch(prose, -1) {
		name := strings.ToLower(strings.ReplaceAll(found[1], " ", "-"))
		names = append(names, punctuation.ReplaceAllString(name, ""))
	}
	return names
}

// spoken are what the code says to operators: the pattern that finds the words in
// the files, and the page that must hold each of them in code quotes.
var spoken = []struct{ what, files, pattern, page string }{
	{"option", "config/*.go", `\{word: "([a-z_]+)"`, "docs/reference.md"},
	{"rule", "config/rule.go", `Rule[A-Z]\w+ += "([a-z_]+)"`, "docs/reference.md"},
	{"directive", "caddyfile.go", `RegisterHandlerDirective\("([a-z_]+)"`, "docs/reference.md"},
	{"JSON member", "config/*.go", `json:"([a-z_]+),omitempty"`, "docs/reference.md"},
	{"placeholder", "handlers/placeholders.go", `case "([a-z]+)":`, "docs/reference.md"},
	{"metric", "internal/metrics/*.go", `"([a-z_]+_(?:total|seconds))"`, "docs/reference.md"},
	{"audit field", "audit/audit.go", `(?m)^\t+"([a-z_]+)", e\.`, "docs/reference.md"},
	{"audit field", "audit/audit.go", `, "([a-z_]+)", (?:strings\.Join\()?e\.`, "docs/reference.md"},
	{"reason", "token/reason.go", `Reason = "([a-z_]+)"`, "docs/reference.md"},
	{"reason", "token/reason.go", `Reason = "([a-z_]+)"`, "docs/errors.md"},
	{"reason", "proof/reason.go", `Reason = "([a-z_]+)"`, "docs/reference.md"},
	{"reason", "proof/reason.go", `Reason = "([a-z_]+)"`, "docs/errors.md"},
	{"outcome", "exchange/error.go", `Outcome = "([a-z_]+)"`, "docs/reference.md"},
	{"outcome", "sts/error.go", `Outcome = "([a-z_]+)"`, "docs/reference.md"},
	{"outcome", "sts/error.go", `Outcome[A-Z][a-z]\w+ +Outcome = "([a-z_]+)"`, "docs/errors.md"},
	{"outcome", "revocation/signal/outcome.go", `Outcome = "([a-z_]+)"`, "docs/reference.md"},
	{"outcome", "revocation/signal/outcome.go", `Outcome = "([a-z_]+)"`, "docs/errors.md"},
	{"answer", "revocation/signal/outcome.go", `"([A-Z][^"]+\.)"\}`, "docs/errors.md"},
	{"event", "revocation/signal/set.go", `word: "([a-z-]+)"`, "docs/reference.md"},
	{"answer", "sts/error.go", `"([A-Z][^"]+\.)"\}`, "docs/errors.md"},
	{"span", "handlers/*.go", `begin\([^,]+, "([a-z_]+)"\)`, "docs/reference.md"},
	{"span attribute", "handlers/*.go", `attribute\.\w+\("([a-z_.]+)"`, "docs/reference.md"},
	{"log line", "handlers/*.go", `(?:LevelError|(?:Warn|Error)Context\(ctx), "([a-z ,]+)"`, "docs/reference.md"},
	{"log line", "keys/*.go", `\.Warn\("([a-z ]+)"`, "docs/reference.md"},
	{"algorithm", "jose/algorithm.go", `Algorithm = "(\w+)"`, "docs/reference.md"},
	{"answer", "exchange/error.go", `"([A-Z][^"]+\.)"\}`, "docs/errors.md"},
	{"answer", "handlers/*.go", `"([A-Z][^"]+\.)"`, "docs/errors.md"},
	{"problem", "handlers/*.go", `"((?:two )?token_\w+ (?:without|on)[^"]+)"`, "docs/errors.md"},
	{"reason of a key", "jose/key*.go", `errors\.New\("(it is [^"]+|its [^"]+|(?:[A-Z]\w+ )?key [^"]+)"\)`, "docs/errors.md"},
}

// TestEverythingIsDocumented holds the pages to the words of the code.
func TestEverythingIsDocumented(t *testing.T) {
	pages := documents(t)
	for _, speech := range spoken {
		words := wordsOf(t, speech.files, speech.pattern)
		if len(words) == 0 {
			t.Errorf("no %s was found in %s", speech.what, speech.files)
		}
		for _, word := range words {
			if !mentions(pages[speech.page], word) {
				t.Errorf("%s: the %s %q is missing", speech.page, speech.what, word)
			}
		}
	}
}

// TestThreatsAreTested finds a test for each attack that docs/threat-model.md
// names.
func TestThreatsAreTested(t *testing.T) {
	tests := wordsOf(t, "test/attack/*_test.go", `func TestAttack(\d\d)`)
	named := regexp.MustCompile(`\bA(\d+)\b`).FindAllStringSubmatch(documents(t)["docs/threat-model.md"], -1)
	if len(named) < 20 {
		t.Errorf("only %d attacks are named", len(named))
	}
	for _, attack := range named {
		if !slices.Contains(tests, attack[1]) && !slices.Contains(tests, "0"+attack[1]) {
			t.Errorf("docs/threat-model.md: A%s has no test", attack[1])
		}
	}
}

// TestInteropIsRun finds each test that docs/interop.md names, and each test of
// real servers and of Caddy's own handlers in it.
func TestInteropIsRun(t *testing.T) {
	tests := wordsOf(t, "dev/interop/*/*_test.go", `func (Test\w+)\(t `)
	tests = append(tests, wordsOf(t, "dev/interop/*_test.go", `func (Test\w+)\(t `)...)
	tests = append(tests, wordsOf(t, "test/integration/company_test.go", `func (Test\w+)\(t `)...)
	tests = append(tests, wordsOf(t, "test/integration/company_*_test.go", `func (Test\w+)\(t `)...)
	page := documents(t)["docs/interop.md"]
	for _, named := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(page, -1) {
		if !slices.Contains(tests, named[1]) {
			t.Errorf("docs/interop.md: there is no %s", named[1])
		}
	}
	for _, test := range tests {
		if !strings.Contains(page, "`"+test+"`") {
			t.Errorf("docs/interop.md does not tell what %s runs", test)
		}
	}
}

func wordsOf(t *testing.T, files, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(harness.Root(), files))
	if err != nil {
		t.Fatal(err)
	}
	words := make(map[string]bool)
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(files, "_test.go") {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1) {
			words[found[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(words))
}

// mentions tells whether a page holds a word as a word of its own, with no small letter
// beside it. Pages are long, and words many: a pattern for each takes a minute.
func mentions(page, word string) bool {
	small := func(c byte) bool { return 'a' <= c && c <= 'z' }
	for from := 0; ; {
		at := strings.Index(page[from:], word)
		if at < 0 {
			return false
		}
		at += from
		end := at + len(word)
		if (at == 0 || !small(page[at-1])) && (end == len(page) || !small(page[end])) {
			return true
		}
		from = at + 1
	}
}

var (
	adapterPreface = regexp.MustCompile(`^(?:parsing caddyfile tokens for '[a-z_]+': )+`)
	adapterPlace   = regexp.MustCompile(`(?:, at Caddyfile:\d+.*)+$`)
	cell           = regexp.MustCompile("(?m)^\\| `([^`]+)`")
	wildcard       = regexp.MustCompile(`<[^<>]*>`)
)

// TestEveryMessageIsDocumented finds each message that the golden files show
// among those of docs/errors.md, where <…> stands for anything.
func TestEveryMessageIsDocumented(t *testing.T) {
	known := documentedMessages(t)
	seen := 0
	err := fs.WalkDir(os.DirFS("adapt"), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".caddyfiletest") {
			return err
		}
		message, err := messageIn(filepath.Join("adapt", path))
		if message == "" {
			return err
		}
		if !slices.ContainsFunc(known, func(r *regexp.Regexp) bool { return r.MatchString(message) }) {
			t.Errorf("docs/errors.md lacks (%s)\n%s", path, message)
		}
		seen++
		return err
	})
	if err != nil || seen < 100 {
		t.Errorf("%d messages were seen: %v", seen, err)
	}
}

// documentedMessages are the first cells of the tables of docs/errors.md.
func documentedMessages(t *testing.T) []*regexp.Regexp {
	t.Helper()
	var known []*regexp.Regexp
	for _, found := range cell.FindAllStringSubmatch(documents(t)["docs/errors.md"], -1) {
		parts := wildcard.Split(found[1], -1)
		for i, part := range parts {
			parts[i] = regexp.QuoteMeta(part)
		}
		known = append(known, regexp.MustCompile(`(^|: )`+strings.Join(parts, ".+")+`(: write .+)?$`))
	}
	return known
}

// messageIn returns the message of a golden file without the place that Caddy
// adds, "" if the file is one of a good configuration.
func messageIn(path string) (string, error) {
	content, err := os.ReadFile(path)
	_, message, _ := strings.Cut(string(content), "\n----------\n")
	message = strings.TrimSpace(message)
	if err != nil || strings.HasPrefix(message, "{") || message == "loads" {
		return "", err
	}
	return adapterPlace.ReplaceAllString(adapterPreface.ReplaceAllString(message, ""), ""), nil
}
