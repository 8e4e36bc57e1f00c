package admin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/revocation"
)

// listed walks through all pages of what a query asks for, and returns the identifiers.
func listed(t *testing.T, query string, events []revocation.Event) (ids string, pages int) {
	t.Helper()
	after := ""
	for pages <= len(events) {
		pages++
		values, err := readQuery(httptest.NewRequest(http.MethodGet, routeRevocations+"?"+query+after, http.NoBody), "kind", "issuer", "value", "limit", "after")
		if err != nil {
			t.Fatal(err)
		}
		wanted, err := readFilter(values, trusted)
		if err != nil {
			t.Fatal(err)
		}
		list := wanted.page(append([]revocation.Event(nil), events...))
		for _, one := range list.Revocations {
			ids += one.ID + " "
		}
		if list.Next == "" {
			return strings.TrimSpace(ids), pages
		}
		after = "&after=" + list.Next
	}
	t.Fatal("the pages do not end")
	return "", pages
}

func TestRevocationsAreListedInPages(t *testing.T) {
	var events []revocation.Event
	for i, kind := range []revocation.Kind{"jti", "subject", "jti", "jti", "subject"} {
		// The last two came at the same instant.
		events = append(events, revocation.Event{
			ID: fmt.Sprintf("e%d", i), Kind: kind, Issuer: mainURL, Value: fmt.Sprintf("v%d", i), At: noon.Add(time.Duration(min(i, 3)) * time.Second),
		})
	}
	for query, want := range map[string]struct {
		ids   string
		pages int
	}{
		"":                                      {"e3 e4 e2 e1 e0", 1},
		"limit=2":                               {"e3 e4 e2 e1 e0", 3},
		"limit=1":                               {"e3 e4 e2 e1 e0", 5},
		"kind=jti&limit=2":                      {"e3 e2 e0", 2},
		"issuer=main":                           {"e3 e4 e2 e1 e0", 1},
		"issuer=other":                          {"", 1},
		"issuer=https://gone.example":           {"", 1},
		"value=v1":                              {"e1", 1},
		"after=" + placeOf(&events[2]).String(): {"e1 e0", 1},
		"after=" + cursor{at: noon.Add(1500 * time.Millisecond).UnixNano(), id: "gone"}.String(): {"e1 e0", 1},
	} {
		ids, pages := listed(t, query, events)
		if ids != want.ids || pages != want.pages {
			t.Errorf("%s: %s on %d pages, want %v", query, ids, pages, want)
		}
	}
}

func TestBadQueriesAreRefused(t *testing.T) {
	for query, want := range map[string]string{
		"kinds=jti":         "the query is not valid: an unknown parameter",
		"kind=jti&kind=key": "kind: it is written twice",
		"kind=user":         "kind: there is no such kind",
		"issuer=mian":       "issuer: the running configuration trusts none",
		"limit=0":           "limit: not a number",
		"limit=1001":        "limit: not a number",
		"after=x":           "after: not what next said",
		"%zz":               "the query is not valid: it cannot be read",
	} {
		request := httptest.NewRequest(http.MethodGet, routeRevocations, http.NoBody)
		request.URL.RawQuery = query
		values, err := readQuery(request, "kind", "issuer", "value", "limit", "after")
		if err == nil {
			_, err = readFilter(values, trusted)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", query, err, want)
		}
	}
}

func TestListIsPrinted(t *testing.T) {
	list := &revocationList{Node: nodeStatus{Loaded: true, Contact: noon, Events: 2}, Count: 2, Next: "1.x", Revocations: []Revocation{
		{ID: "e1", Kind: "subject", Issuer: mainURL, Value: "alice", Before: noon, Until: noon.Add(time.Hour), At: noon, Reason: "left", By: "admin"},
		{ID: "e2", Kind: "issuer", Issuer: mainURL, Until: noon.Add(time.Hour), At: noon, Reason: "\x1b[2J"},
	}}
	var out strings.Builder
	if err := printList(&out, list); err != nil {
		t.Fatal(err)
	}
	want := `list loaded, 2 revocations, log last read 2027-01-31T12:00:00Z

AT                    KIND     VALUE  ISSUER                   ISSUED UNTIL          KEPT UNTIL            BY     REASON
2027-01-31T12:00:00Z  subject  alice  https://idp.example.com  2027-01-31T12:00:00Z  2027-01-31T13:00:00Z  admin  left
2027-01-31T12:00:00Z  issuer   -      https://idp.example.com  -                     2027-01-31T13:00:00Z  -      "\x1b[2J"

2 of 2 that match
more: --after 1.x
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
