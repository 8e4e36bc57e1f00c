package admin

import "time"

// statusListState is one status list that tokens named.
type statusListState struct {
	Issuer string `json:"issuer"`
	URI    string `json:"uri"`
	// State is that of the list: missing, fresh, stale or expired.
	State string `json:"state"`
	// Fetched is when it came, NextRefresh when another one is fetched, and Until from
	// when on it is not believed.
	Fetched     time.Time `json:"fetched,omitzero"`
	NextRefresh time.Time `json:"next_refresh,omitzero"`
	Until       time.Time `json:"until,omitzero"`
	// LastError is why the newest fetch failed, "" if it did not.
	LastError string `json:"last_error,omitempty"`
	// Entries is how many tokens it may be about, Bytes its size in memory, and Streams
	// how many open streams end when it says so.
	Entries uint64 `json:"entries"`
	Bytes   int    `json:"bytes"`
	Streams int    `json:"open_streams"`
}

func statusListsOf(app Operated) []statusListState {
	now := time.Now()
	lists := app.StatusLists()
	all := make([]statusListState, 0, len(lists))
	for i := range lists {
		one := &lists[i]
		all = append(all, statusListState{
			Issuer: one.Issuer, URI: one.URI, State: ageOf(one, now), Fetched: utc(one.Fetched), NextRefresh: utc(one.Renew),
			Until: utc(one.Until), LastError: one.LastError, Entries: one.Entries, Bytes: one.Bytes, Streams: one.Streams,
		})
	}
	return all
}

func ageOf(list *StatusList, now time.Time) string {
	switch {
	case list.Fetched.IsZero():
		return keysMissing
	case !now.Before(list.Until):
		return keysExpired
	case list.Stale:
		return keysStale
	default:
		return keysFresh
	}
}

// serves tells whether tokens are held against it.
func (s statusListState) serves() bool { return s.State == keysFresh || s.State == keysStale }

func (s statusListState) troubled() bool { return s.State != keysFresh || s.LastError != "" }
