package statuslist

import (
	"slices"
	"strings"
	"time"
)

// Info is what is known of one list.
type Info struct {
	// URI is its address.
	URI string
	// Fetched is when it came, zero if it has not come.
	Fetched time.Time
	// Issued, and Expires, zero if it has none, are its iat and exp.
	Issued, Expires time.Time
	// Renew is when another one is fetched, Until from when on it is not believed.
	Renew, Until time.Time
	// Stale tells that another one should have been there by now.
	Stale bool
	// Bytes is its size in memory, Entries how many tokens it may be about.
	Bytes   int
	Entries uint64
	// LastUsed is when a token was last held against it, to the second.
	LastUsed time.Time
	// Streams are how many requests go on for as long as it allows them.
	Streams int
	// LastError is why the last fetch failed, "" if it did not.
	LastError string
}

// Sums are how many lists are there, how many bytes they take, and how many should have
// come by now and have not: another one of those that are there, or the first.
func (l *Lists) Sums() (lists, bytes, stale int) {
	s, now := l.config.State, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range *s.entries.Load() {
		list := one.held.Load()
		if list == nil {
			if one.problem != "" {
				stale++
			}
			continue
		}
		lists++
		bytes += len(list.packed)
		if !now.Before(list.stale) {
			stale++
		}
	}
	return lists, bytes, stale
}

// Oldest is how long ago the oldest list was fetched, 0 if there is none.
func (l *Lists) Oldest() (age time.Duration) {
	now := time.Now()
	for _, one := range *l.config.State.entries.Load() {
		if list := one.held.Load(); list != nil {
			age = max(age, now.Sub(list.fetched))
		}
	}
	return age
}

// Snapshot tells of all lists, by their addresses.
func (l *Lists) Snapshot() []Info {
	s, now := l.config.State, time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Info, 0, len(*s.entries.Load()))
	for uri, one := range *s.entries.Load() {
		info := Info{
			URI: uri, LastUsed: time.Unix(one.used.Load(), 0), Streams: s.watches.count(uri), LastError: one.problem,
		}
		if list := one.held.Load(); list != nil {
			info.Fetched, info.Issued, info.Expires = list.fetched, list.issued, list.expires
			info.Renew, info.Until, info.Stale = list.renew, list.until, !now.Before(list.stale)
			info.Bytes, info.Entries = len(list.packed), list.entries
		}
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b Info) int { return strings.Compare(a.URI, b.URI) })
	return all
}
