package admin

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A view prints an overview. It keeps the first error of its writer.
type view struct {
	out io.Writer
	now time.Time
	err error
}

func (v *view) linef(format string, values ...any) {
	if v.err == nil {
		_, v.err = fmt.Fprintf(v.out, format+"\n", values...)
	}
}

// table prints rows below a title, and nothing where there are none. What is marked is
// in trouble. count is how many there are, of which the rows are the first.
func (v *view) table(title, head string, count int, rows [][]string) {
	if len(rows) == 0 || v.err != nil {
		return
	}
	v.linef("\n%s", title)
	table := tabwriter.NewWriter(v.out, 0, 0, 2, ' ', 0) //nolint:mnd // two blanks between columns
	fmt.Fprintln(table, "  "+strings.ReplaceAll(head, " | ", "\t"))
	for _, row := range rows {
		for i, cell := range row[1:] {
			row[i+1] = orDash(cell)
		}
		fmt.Fprintln(table, strings.Join(append([]string{row[0] + " " + row[1]}, row[2:]...), "\t"))
	}
	if err := table.Flush(); v.err == nil {
		v.err = err
	}
	if count > len(rows) {
		v.linef("  … %d more", count-len(rows))
	}
}

// mark is what a row begins with.
func mark(f faring) string {
	if f.troubled() {
		return "!"
	}
	return " "
}

// printOverview prints everything, the problems first.
func printOverview(out io.Writer, seen *overview) error {
	v := &view{out: out, now: seen.At}
	if len(seen.Problems) == 0 {
		v.linef("all is well")
	}
	for _, one := range seen.Problems {
		v.linef("%s: %s: %s", one.Severity, printable(one.What), printable(one.Reason))
	}
	v.issuers(&seen.Issuers)
	v.keys(seen.Keys)
	v.statusLists(&seen.StatusLists)
	v.exchanges(&seen.Exchanges)
	v.breakers(&seen.Breakers)
	v.caches(&seen.Caches)
	v.store(&seen.Store)
	v.limits(&seen.Limits)
	v.listeners(&seen.Listeners)
	return v.err
}

func (v *view) issuers(all *section[issuerState]) {
	var rows [][]string
	for i := range all.Items {
		one := &all.Items[i]
		names := make([]string, 0, len(one.Keys))
		for _, key := range one.Keys {
			names = append(names, strings.TrimSpace(cmp.Or(key.Kid, "-")+" "+key.Algorithm))
		}
		if more := one.KeyCount - len(one.Keys); more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		failed := ""
		if one.LastError != "" {
			failed = one.LastError + " " + ago(v.now, one.LastErrorAt)
		}
		rows = append(rows, []string{
			mark(one), one.label(), one.Role, one.State, ago(v.now, one.Fetched), ago(v.now, one.NextRefresh), failed, strings.Join(names, ", "),
		})
		for _, place := range one.Places {
			state := "answers"
			if place.Down {
				state = "fails"
			}
			rows = append(rows, []string{" ", "  at " + place.URL, "place", state, "-", "-", "-", "-"})
		}
	}
	v.table("Issuers", "ISSUER | ROLE | KEYS ARE | FETCHED | NEXT | LAST ERROR | KEYS", max(all.Count+len(rows)-len(all.Items), 0), rows)
}

func (v *view) keys(list *keyList) {
	if list == nil {
		return
	}
	rows := make([][]string, 0, len(list.Keys))
	for _, key := range list.Keys {
		rows = append(rows, []string{" ", key.Kid, string(key.Purpose), string(key.Algorithm), string(key.State), ago(v.now, key.Created), ago(v.now, key.Gone)})
	}
	v.table("Signing keys of "+printable(list.Issuer), "KID | PURPOSE | ALGORITHM | STATE | MADE | GONE", len(list.Keys), rows)
}

func (v *view) statusLists(all *section[statusListState]) {
	rows := make([][]string, 0, len(all.Items))
	for _, one := range all.Items {
		rows = append(rows, []string{
			mark(one), one.URI, one.State, ago(v.now, one.Fetched), ago(v.now, one.NextRefresh), cmp.Or(one.LastError, "-"),
			number(one.Entries), size(uint64(one.Bytes)), strconv.Itoa(one.Streams), //nolint:gosec // a length
		})
	}
	v.table("Status lists", "LIST | STATE | FETCHED | NEXT | LAST ERROR | ENTRIES | SIZE | OPEN STREAMS", all.Count, rows)
}

func (v *view) exchanges(all *section[exchangeState]) {
	rows := make([][]string, 0, len(all.Items))
	for _, one := range all.Items {
		state, servers := cmp.Or(one.LastOutcome, "never asked"), strings.Join(one.Servers, ", ")
		issued, failed := number(one.Issued), number(one.Failed)
		switch {
		case one.Local:
			state, servers, issued, failed = "minted here", "-", "-", "-"
		case one.Misconfigured:
			state = "misconfigured"
		}
		rows = append(rows, []string{
			mark(one), one.Name, servers, state, one.LastErrorCode, ago(v.now, one.LastRequest), ago(v.now, one.LastSuccess), issued, failed,
		})
	}
	v.table("Exchanges", "EXCHANGE | SERVER | STATE | CODE | ASKED | WORKED | ISSUED | FAILED", all.Count, rows)
}

func (v *view) breakers(all *section[breakerState]) {
	rows := make([][]string, 0, len(all.Items))
	for _, one := range all.Items {
		rows = append(rows, []string{mark(one), one.name(), one.State, one.Reason, ago(v.now, one.Until)})
	}
	v.table("Endpoints", "ENDPOINT | BREAKER | REASON | TRIED AGAIN", all.Count, rows)
}

func (v *view) caches(all *section[cacheState]) {
	rows := make([][]string, 0, len(all.Items))
	for _, one := range all.Items {
		rate, entries, octets := "-", strconv.Itoa(one.Entries), size(one.Bytes)
		if one.HitRate != nil {
			rate = fmt.Sprintf("%.1f %%", 100**one.HitRate) //nolint:mnd // per cent
		}
		if one.Kind == CacheShared {
			entries, octets = "-", "-"
		}
		rows = append(rows, []string{
			mark(one), strings.TrimSpace(strings.ReplaceAll(one.Kind, "_", " ") + " " + one.Exchange), entries, octets, number(one.Hits), number(one.Misses), rate,
			number(one.Evictions),
		})
	}
	v.table("Memories", "MEMORY | ENTRIES | SIZE | HITS | MISSES | HIT RATE | EVICTED", all.Count, rows)
}

func (v *view) store(one *storeState) {
	sign, state := " ", "answers"
	if !one.Reachable {
		sign, state = "!", one.LastError+" since "+ago(v.now, one.Since)
	}
	shared := "this node's"
	if one.Shared {
		shared = "of all nodes"
	}
	loaded := ago(v.now, one.Revocations.Contact)
	if !one.Revocations.Loaded {
		sign, loaded = "!", "never"
	}
	v.table("Store", "STORE | IS | STATE | REVOCATIONS | LAST READ | OPEN STREAMS", 1, [][]string{{
		sign, one.Kind, shared, state, strconv.Itoa(one.Revocations.Events), loaded, strconv.Itoa(one.Revocations.Watched),
	}})
}

func (v *view) limits(all *section[limitState]) {
	rows := make([][]string, 0, len(all.Items))
	for _, one := range all.Items {
		whom := ""
		if one.Path != "" {
			whom = one.Path + " " + one.Value
		}
		rows = append(rows, []string{
			mark(one), one.Key, whom, fmt.Sprintf("%d in %s", one.Events, one.Window), one.Counts, strconv.Itoa(one.Keys), number(one.Allowed), number(one.Refused),
		})
	}
	v.table("Limits", "KEY | WHEN | LIMIT | COUNTS IN | KEYS HERE | ALLOWED | REFUSED", all.Count, rows)
}

func (v *view) listeners(all *section[listenerState]) {
	rows := make([][]string, 0, len(all.Items))
	for _, one := range all.Items {
		rows = append(rows, []string{mark(one), cmp.Or(one.Place, "token_events"), strings.Join(one.Logout, ", "), strings.Join(one.SharedSignals, ", ")})
	}
	v.table("Listeners", "PLACE | BACKCHANNEL LOGOUT | SHARED SIGNALS", all.Count, rows)
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }
