package admin

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/signing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func before(d time.Duration) time.Time { return noon.Add(-d) }

// troubled is a gateway with some of everything.
func troubled() *overview {
	half := 0.5
	issuers := []issuerState{
		{
			Name: "main", URL: "https://idp.example.com", Role: RoleIssuer, State: keysFresh, Fetched: before(4 * time.Minute), NextRefresh: noon.Add(4 * time.Minute),
			KeyCount: 22, Keys: []shownKey{{Kid: "k1", Algorithm: "ES256"}, {Kid: "evil\x1b[2J"}, {}},
		},
		{
			URL: "https://down.example.com", Role: RoleIssuer, State: keysMissing, Failing: true, LastError: "timeout", LastErrorAt: before(3 * time.Second),
			Places: []placeInfo{{URL: "https://down.example.com", Down: true}, {URL: "https://eu.example.com"}},
		},
		{Name: "old", URL: "https://old.example.com", Role: RoleIssuer, State: keysExpired, Fetched: before(30 * time.Hour), Failing: true, LastError: "unreachable", LastErrorAt: before(time.Minute)},
		{Name: "asked", URL: "https://asked.example.com", Role: RoleIssuer, State: keysMissing, Asked: true, Failing: true, LastError: "bad_answer"},
		{Name: "shaky", URL: "https://shaky.example.com", Role: RoleIssuer, State: keysFresh, Fetched: before(9 * time.Minute), Failing: true, LastError: "unreachable", LastErrorAt: before(0)},
		{URL: "https://stale.example.com", Role: RoleRegion, State: keysStale, Fetched: before(3 * time.Hour)},
	}
	exchanges := []exchangeState{
		{Name: "orders", Servers: []string{"idp.example.com"}, EverSucceeded: true, LastSuccess: before(time.Hour), LastOutcome: "ok", LastRequest: before(time.Hour), Issued: 12, Failed: 1},
		{Name: "stock", Servers: []string{"idp.example.com", "b.example.com"}, LastOutcome: "config", LastErrorCode: "invalid_client", LastRequest: before(time.Second), Misconfigured: true, Failed: 3},
		{Name: "was", EverSucceeded: true, LastSuccess: before(3 * 24 * time.Hour), LastOutcome: "config", Misconfigured: true, LastRequest: before(time.Second)},
		{Name: "slow", LastOutcome: "timeout", LastRequest: before(time.Minute), Failed: 1},
		{Name: "minted", Local: true},
		{Name: "unused", Servers: []string{"idp.example.com"}},
	}
	breakers := []breakerState{
		{Endpoint: "https://idp.example.com/token", State: breakerClosed},
		{Endpoint: "https://b.example.com/token", State: breakerOpen, Reason: "status_503", Until: noon.Add(5 * time.Second)},
		{Endpoint: "https://c.example.com/token", State: breakerHalfOpen, Reason: "timeout"},
		{Server: "https://d.example.com", Endpoint: "discovery", State: breakerOpen, Reason: "unreachable", Until: noon.Add(5 * time.Second)},
	}
	limits := []limitState{
		{Key: "{http.auth.user.id}", Events: 100, Window: "1m", Counts: countsStore, Allowed: 1000, Refused: 3},
		{Key: "{http.auth.user.id}", Path: "plan", Value: "pro", Events: 1000, Window: "1m", Counts: countsAlone, Keys: 7, Allowed: 5},
	}
	all := &overview{
		At: noon,
		Keys: &keyList{Issuer: "https://gw.example.com", Degraded: true, Keys: []signing.KeyInfo{
			{Kid: "s1", Purpose: signing.AccessTokens, Algorithm: "ES256", State: signing.Active, Created: before(10 * 24 * time.Hour)},
		}},
		Caches: first([]cacheState{
			{Kind: "remembered_tokens", Entries: 3, Bytes: 4600, MaxBytes: 64 << 20, Hits: 5, Misses: 5, HitRate: &half},
			{Kind: "issued_tokens", Exchange: "orders", Bytes: 3 << 20, Evictions: 2},
			{Kind: CacheShared, Exchange: "orders"},
		}),
		Store: storeState{
			Kind: "redis", Shared: true, LastError: "unavailable", Since: before(40 * time.Second), UnreadableValues: 2, UnreadableRecords: 1,
			Revocations: listState{Loaded: true, Contact: before(41 * time.Second), Events: 9, MaxStaleness: "30s", Then: "closed", bound: 30 * time.Second},
		},
		Listeners: first([]listenerState{{Place: "Caddyfile:9", Logout: []string{"https://idp.example.com"}}}),
	}
	lists := &sections{issuers, exchanges, breakers, limits, []statusListState{
		{Issuer: "https://idp.example.com", URI: "https://idp.example.com/lists/1", State: keysFresh, Fetched: before(time.Minute), Entries: 1 << 17, Bytes: 9000},
		{Issuer: "https://idp.example.com", URI: "https://idp.example.com/lists/2", State: keysMissing, LastError: "unreachable"},
		{Issuer: "https://idp.example.com", URI: "https://idp.example.com/lists/3", State: keysStale, Fetched: before(time.Hour), LastError: "status 500", Streams: 2},
	}}
	lists.fill(all)
	return all
}

func TestTables(t *testing.T) {
	quiet := &overview{At: noon, Store: storeState{Kind: "memory", Reachable: true, Revocations: listState{Loaded: true, Contact: noon}}}
	for name, seen := range map[string]*overview{"troubled": troubled(), "quiet": quiet} {
		var out bytes.Buffer
		if err := printOverview(&out, seen); err != nil {
			t.Fatal(err)
		}
		file := "testdata/status_" + name + ".txt"
		if *update {
			if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Error("what others wrote moves the terminal's cursor")
		}
	}
}

// Those in trouble come first, and the list is bounded.
func TestSections(t *testing.T) {
	many := make([]breakerState, defaultPage+50)
	for i := range many {
		many[i].State = breakerClosed
	}
	many[len(many)-1] = breakerState{State: breakerOpen, Endpoint: "last"}
	shown := first(many)
	if shown.Count != len(many) || len(shown.Items) != defaultPage || shown.Items[0].Endpoint != "last" || shown.Next != defaultPage {
		t.Errorf("%d of %d, first %+v, next %d", len(shown.Items), shown.Count, shown.Items[0], shown.Next)
	}
	if rest := page(many, defaultPage, defaultPage); len(rest.Items) != 50 || rest.Next != 0 {
		t.Errorf("the second page: %d, next %d", len(rest.Items), rest.Next)
	}
	if none := page(many, 1<<40, defaultPage); none.Items == nil || len(none.Items) != 0 {
		t.Errorf("behind the end: %+v", none)
	}
}

func TestReadable(t *testing.T) {
	for want, at := range map[string]time.Time{
		"-": {}, "just now": noon, "3s ago": before(3 * time.Second), "4m ago": before(4*time.Minute + 30*time.Second), "119s ago": before(119 * time.Second),
		"3h ago": before(3 * time.Hour), "47h ago": before(47 * time.Hour), "10d ago": before(10 * day), "in 5s": noon.Add(5 * time.Second),
	} {
		if got := ago(noon, at); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	for want, d := range map[string]time.Duration{"1h": time.Hour, "1m": time.Minute, "1h30m": 90 * time.Minute, "30s": 30 * time.Second, "1m30s": 90 * time.Second} {
		if got := written(d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, n := range map[string]uint64{"7 B": 7, "1.5 KiB": 1536, "2.0 MiB": 2 << 20} {
		if got := size(n); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for want, text := range map[string]string{
		"the gateway answered 404 Not Found: no app":               `caddy responded with error: HTTP 404: {"error":"no app"}` + "\n",
		"the gateway answered 503 Service Unavailable: no store":   `caddy responded with error: HTTP 503: {"revoked":0,"failed":[{"order":1,"error":"no store"}]}`,
		"the gateway answered 503 Service Unavailable: keys; list": `caddy responded with error: HTTP 503: {"ready":false,"reasons":["keys","list"]}`,
		"the gateway answered 502 Bad Gateway: <html>":             `caddy responded with error: HTTP 502: <html>`,
		"performing request: refused":                              "performing request: refused",
		"caddy responded with error: HTTP x: y":                    "caddy responded with error: HTTP x: y",
	} {
		if got := readRefusal(errorText(text)).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

type errorText string //nolint:errname // the word of what it is

func (e errorText) Error() string { return string(e) }
