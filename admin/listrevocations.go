package admin

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
)

// Bounds of one page.
const (
	defaultPage = 100
	maxPage     = 1000
)

// revocationList is what GET /gatehouse/revocations answers.
type revocationList struct {
	// Node is how far this node has followed the log.
	Node nodeStatus `json:"node"`
	// Count is how many there are that match, on all pages.
	Count int `json:"count"`
	// Revocations are those of this page, the newest first.
	Revocations []Revocation `json:"revocations"`
	// Next is after for the next page, "" where this is the last.
	Next string `json:"next,omitempty"`
}

type nodeStatus struct {
	// Loaded tells whether the whole list was read once.
	Loaded bool `json:"loaded"`
	// Contact is when the log was last read to its end.
	Contact time.Time `json:"contact,omitzero"`
	// Events is how many revocations there are, whether they match or not.
	Events int `json:"events"`
}

// A filter says which revocations are listed. What it does not name does not matter.
type filter struct {
	kind          revocation.Kind
	issuer, value string
	digested      string // the value, as an event may have it instead
	after         cursor
	limit         int
}

// A cursor is the place right behind an event, in the order of the list. It stays
// good when the event is gone.
type cursor struct {
	at int64
	id string
}

func (a *API) listRevocations(r *http.Request, app Operated) (any, error) {
	query, err := readQuery(r, "kind", "issuer", "value", "limit", "after")
	if err != nil {
		return nil, err
	}
	wanted, err := readFilter(query, app.Trusted())
	if err != nil {
		return nil, err
	}
	// The list is copied, and it may be long: one copy at a time.
	a.listing.Lock()
	defer a.listing.Unlock()
	status := app.Revocations().Status()
	list := wanted.page(app.Revocations().List().Events())
	list.Node = nodeStatus{Loaded: status.Loaded, Contact: utc(status.Contact), Events: status.Events}
	return list, nil
}

func readFilter(query url.Values, issuers Issuers) (filter, error) {
	wanted := filter{kind: revocation.Kind(query.Get("kind")), issuer: query.Get("issuer"), value: query.Get("value"), limit: defaultPage}
	wanted.digested = revocation.ValueOf(wanted.value)
	if wanted.kind != "" && !slices.Contains(namable, wanted.kind) {
		return wanted, bad("kind", "there is no such kind: write one of %s", kindNames())
	}
	if wanted.issuer != "" && !strings.Contains(wanted.issuer, "://") {
		issuer, err := issuers.find(wanted.issuer)
		if err != nil {
			return wanted, err
		}
		wanted.issuer = issuer.URL
	}
	if text := query.Get("limit"); text != "" {
		limit, err := strconv.Atoi(text)
		if err != nil || limit < 1 || limit > maxPage {
			return wanted, bad("limit", "not a number from 1 to %d", maxPage)
		}
		wanted.limit = limit
	}
	if text := query.Get("after"); text != "" {
		at, id, ok := strings.Cut(text, ".")
		number, err := strconv.ParseInt(at, 10, 64)
		if !ok || err != nil {
			return wanted, bad("after", "not what next said")
		}
		wanted.after = cursor{at: number, id: id}
	}
	return wanted, nil
}

func (f *filter) takes(e *revocation.Event) bool {
	return (f.kind == "" || e.Kind == f.kind) && (f.issuer == "" || e.Issuer == f.issuer) && (f.value == "" || e.Value == f.value || e.Value == f.digested)
}

// page sorts what matches, the newest first, and cuts out one page.
func (f *filter) page(events []revocation.Event) revocationList {
	events = slices.DeleteFunc(events, func(e revocation.Event) bool { return !f.takes(&e) })
	slices.SortFunc(events, func(a, b revocation.Event) int { return placeOf(&a).compare(placeOf(&b)) })
	list := revocationList{Count: len(events), Revocations: []Revocation{}}
	if f.after != (cursor{}) {
		events = events[f.start(events):]
	}
	rest := len(events) > f.limit
	for i := range min(len(events), f.limit) {
		list.Revocations = append(list.Revocations, shown(&events[i]))
	}
	if rest {
		list.Next = placeOf(&events[f.limit-1]).String()
	}
	return list
}

func (f *filter) start(events []revocation.Event) int {
	index, found := slices.BinarySearchFunc(events, f.after, func(e revocation.Event, c cursor) int { return placeOf(&e).compare(c) })
	if found {
		index++
	}
	return index
}

func placeOf(e *revocation.Event) cursor { return cursor{at: e.At.UnixNano(), id: e.ID} }

// compare puts the newest first.
func (c cursor) compare(other cursor) int {
	return cmp.Or(cmp.Compare(other.at, c.at), strings.Compare(c.id, other.id))
}

// String is the cursor as callers hand it back.
func (c cursor) String() string { return strconv.FormatInt(c.at, 10) + "." + c.id }
