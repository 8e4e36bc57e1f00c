package admin

// Where a limit counts.
const (
	countsHere  = "node"
	countsStore = "store"
	countsAlone = "node_alone" // the store did not answer the last request, so each node counts for itself
)

// limitState is one rule of a token_limit. Rules that are written alike are one.
type limitState struct {
	// Key is the text of the key as it is written: no caller is in it.
	Key string `json:"key"`
	// Path and Value are the claim that the rule is for.
	Path   string `json:"path,omitempty"`
	Value  string `json:"value,omitempty"`
	Events int    `json:"events"`
	Window string `json:"window"`
	// Counts is node, store, or node_alone where the store did not answer at the last
	// request: only the next one finds out that it is back.
	Counts string `json:"counts"`
	// Keys is how many keys this process remembers; those that a store counts are in it.
	Keys    int    `json:"keys"`
	Allowed uint64 `json:"allowed"`
	Refused uint64 `json:"refused"`
}

func (s limitState) troubled() bool { return s.Counts == countsAlone }

func limitsOf(app Operated) []limitState {
	limits := app.Limited()
	all := make([]limitState, 0, len(limits))
	for i := range limits {
		one := &limits[i]
		shown := limitState{
			Key: one.Key, Path: one.Path, Value: one.Value, Events: one.Rate.Events, Window: written(one.Rate.Window),
			Counts: countsHere, Keys: one.Keys, Allowed: one.Allowed, Refused: one.Refused,
		}
		switch {
		case one.Alone:
			shown.Counts = countsAlone
		case one.Shared:
			shown.Counts = countsStore
		}
		all = append(all, shown)
	}
	return all
}

// listenerState is one token_events.
type listenerState struct {
	Place string `json:"place,omitempty"`
	// Logout are the issuers that may log out, SharedSignals the transmitters.
	Logout        []string `json:"backchannel_logout,omitempty"`
	SharedSignals []string `json:"shared_signals,omitempty"`
}

func (listenerState) troubled() bool { return false }

func listenersOf(app Operated) []listenerState {
	listeners := app.Listeners()
	all := make([]listenerState, 0, len(listeners))
	for _, one := range listeners {
		all = append(all, listenerState{Place: one.Place, Logout: one.Providers, SharedSignals: one.Transmitters})
	}
	return all
}
