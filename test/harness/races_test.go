package harness

import "testing"

func TestReports(t *testing.T) {
	report := func(one, other string) string {
		return "a line\n==================\nWARNING: DATA RACE\nWrite at 0x00c000479a20 by goroutine 88:\n  " + one +
			"()\n      /caddy.go:491 +0x13c\n  net/http.(*readTrackingBody).Read()\n\nPrevious read at 0x00c000479a20 by goroutine 89:\n  " +
			other + "()\n      /caddy.go:498 +0x2c\n\nGoroutine 88 (running) created at:\n==================\nanother line\n"
	}
	const caddys = "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy.(*bodyNopCloserIfNotRead)"
	for name, test := range map[string]struct {
		log  string
		want bool
	}{
		"nothing":              {"a line\n", false},
		"a panic":              {"panic: no\n", true},
		"Caddy's body":         {report(caddys+".Read", caddys+".Close"), false},
		"half of it":           {report(caddys+".Read", "ours.Close"), true},
		"ours":                 {report("ours.Read", "ours.Close"), true},
		"ours beside Caddy's":  {report(caddys+".Read", caddys+".Close") + report("ours.Read", "ours.Close"), true},
		"a report without end": {"WARNING: DATA RACE\n", true},
	} {
		if got := reports(test.log); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}
