package test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDegradationIsTested finds each test that the table of degradation levels names,
// and a test in each row of it.
func TestDegradationIsTested(t *testing.T) {
	var tests []string
	for _, files := range []string{
		"*_test.go", "*/*_test.go", "test/*/*_test.go", "store/*/*_test.go", "dev/cluster/*_test.go",
	} {
		tests = append(tests, wordsOf(t, files, `(?m)^func (Test\w+)\(t `)...)
	}
	_, table, found := strings.Cut(documents(t)["docs/operations.md"], "\n## When something fails\n")
	if !found {
		t.Fatal("docs/operations.md has no table of what fails")
	}
	rows := 0
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| what fails ") {
			continue
		}
		rows++
		cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(line), "|"), "|")
		named := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(named) == 0 || len(cells) != 6 {
			t.Errorf("no test for: %s", line)
		}
		for _, test := range named {
			if !slices.Contains(tests, test[1]) {
				t.Errorf("docs/operations.md: there is no %s", test[1])
			}
		}
	}
	if rows < 15 {
		t.Errorf("only %d rows were found", rows)
	}
}

// TestAlertsAreOfMetrics finds each metric that docs/operations.md alerts on in the
// reference.
func TestAlertsAreOfMetrics(t *testing.T) {
	pages := documents(t)
	named := regexp.MustCompile(`caddy_gatehouse_\w+`).FindAllString(pages["docs/operations.md"], -1)
	if len(named) < 8 {
		t.Errorf("only %d metrics are named", len(named))
	}
	for _, metric := range named {
		if metric = strings.TrimSuffix(metric, "_bucket"); !strings.Contains(pages["docs/reference.md"], "`"+metric+"`") {
			t.Errorf("docs/operations.md: docs/reference.md knows no %s", metric)
		}
	}
}

// TestOrdersAreDocumented finds what the admin API says of bad orders to revoke in
// docs/errors.md.
func TestOrdersAreDocumented(t *testing.T) {
	page := documents(t)["docs/errors.md"]
	said := 0
	for _, files := range []string{"admin/order*.go", "admin/issuers.go", "admin/listrevocations.go", "admin/revocations.go"} {
		for _, message := range wordsOf(t, files, `(?:bad\(|r\.fail\(member, )(?:"\w+", )?"([^"]+)"`) {
			parts := strings.FieldsFunc(message, func(r rune) bool { return r == '%' })
			if first := strings.TrimSpace(parts[0]); !strings.Contains(page, first) {
				t.Errorf("docs/errors.md lacks %q", first)
			}
			said++
		}
	}
	if said < 30 {
		t.Errorf("only %d messages were found", said)
	}
}
