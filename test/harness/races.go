package harness

import (
	"regexp"
	"strings"
)

// accesses are the functions that touched the memory in a report of the race
// detector.
var accesses = regexp.MustCompile(`(?m)^\s*(?:Previous )?(?:[Ww]rite|[Rr]ead) at .*\n\s+(\S+)`)

// reports tells whether a gateway's log has a panic or a data race in it.
func reports(log string) bool {
	if strings.Contains(log, "panic") {
		return true
	}
	for report := range strings.SplitSeq(log, "==================") {
		if strings.Contains(report, "DATA RACE") && !isCaddysBody(report) {
			return true
		}
	}
	return false
}

// isCaddysBody knows one race that is Caddy's alone and harms nothing: Caddy 2.11.9's
// reverse_proxy notes in a plain bool that a request's body was read, and HTTP/2
// closes a body in another goroutine than the one that reads it. Both accesses lie
// in that one type.
func isCaddysBody(report string) bool {
	found := accesses.FindAllStringSubmatch(report, -1)
	for _, access := range found {
		if !strings.Contains(access[1], "reverseproxy.(*bodyNopCloserIfNotRead)") {
			return false
		}
	}
	return len(found) > 1
}
