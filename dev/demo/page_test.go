package demo

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrap(t *testing.T) {
	tests := map[string]struct {
		text    string
		columns int
		want    []string
	}{
		"fits":              {`A: b, c`, 20, []string{"A: b, c"}},
		"exactly":           {`A: b, c`, 7, []string{"A: b, c"}},
		"breaks at a comma": {`A: b, cc`, 7, []string{"A: b,", "  cc"}},
		"several lines":     {`A: b, cc, ddd`, 7, []string{"A: b,", "  cc,", "  ddd"}},
		"too long a part":   {`A: bbbbbbbbbbbb, c`, 7, []string{"A: bbbbbbbbbbbb,", "  c"}},
		"columns are runes": {`A: ö, üü`, 8, []string{"A: ö, üü"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, wrap(test.text, test.columns)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCutAndPad(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{cut("abc", 3), "abc"},
		{cut("abcd", 3), "ab…"},
		{cut("öäüß", 3), "öä…"},
		{pad("ö", 3), "ö  "},
		{pad("long", 3), "long"},
		{shorten("MHETH3HFWCXYZ"), "MHETH3HFWC…"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

// write makes a page of one part of everything.
func write(color bool) (string, *Page) {
	var out strings.Builder
	p := NewPage(&out, color)
	p.Step("No token", "Why.")
	p.Command("curl -i http://127.0.0.1:8080/")
	p.Answer(Answer{Status: 401, Header: http.Header{"Www-Authenticate": {"Bearer"}, "Server": {"Caddy"}}}, challenge)
	p.Compare("one", "two", []Row{{"client", "web", "gateway"}, {"scope", "x y", "x y"}})
	p.Check(true, "holds", "unseen")
	p.Check(false, "does not", "a\nb")
	return out.String(), p
}

func TestPlainPage(t *testing.T) {
	got, page := write(false)
	want := `
1  No token. Why.
   $ curl -i http://127.0.0.1:8080/
   401 Unauthorized
   WWW-Authenticate: Bearer

            one   two
   client   web   gateway
   scope    x y   x y

   ✓ holds
   ✗ does not
     a
     b
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if page.Passed() != 1 || page.Failed() != 1 {
		t.Errorf("%d passed, %d failed", page.Passed(), page.Failed())
	}
}

// TestColoredPage holds the colours to the text: without them it is the plain
// page, so no column moves.
func TestColoredPage(t *testing.T) {
	plain, _ := write(false)
	colored, _ := write(true)
	for _, want := range []string{"\x1b[32m✓\x1b[0m holds", "\x1b[31m✗ does not\x1b[0m", "\x1b[33m401 Unauthorized\x1b[0m", "\x1b[32mgateway\x1b[0m", "\x1b[2mx y\x1b[0m"} {
		if !strings.Contains(colored, want) {
			t.Errorf("no %q in %q", want, colored)
		}
	}
	for _, color := range []string{bold, dim, red, green, yellow, magenta, cyan, "0"} {
		colored = strings.ReplaceAll(colored, "\x1b["+color+"m", "")
	}
	if diff := cmp.Diff(plain, colored); diff != "" {
		t.Error(diff)
	}
}

func TestStatus(t *testing.T) {
	tests := map[string]struct {
		checks []bool
		ci     bool
		status int
		last   string
	}{
		"all held":         {[]bool{true, true}, true, 0, "2 passed, 0 failed"},
		"one did not":      {[]bool{true, false}, true, 1, "1 passed, 1 failed"},
		"for people, held": {[]bool{true}, false, 0, indent + "✓ check"},
		"for people, not":  {[]bool{false}, false, 1, indent + "  found"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			page := NewPage(&out, false)
			for _, held := range test.checks {
				page.Check(held, "check", "found")
			}
			if got := end(t.Context(), page, test.ci); got != test.status {
				t.Errorf("status %d, want %d", got, test.status)
			}
			if got := slices.Collect(strings.Lines(out.String())); got[len(got)-1] != test.last+"\n" {
				t.Errorf("last line %q, want %q", got[len(got)-1], test.last)
			}
		})
	}
}
