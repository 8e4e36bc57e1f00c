package admin

import "time"

// storeState is the store, and how far this node has followed the log of revocations
// in it. A node reads that log all the time, so that it knows at once.
type storeState struct {
	// Kind is the module's name, such as memory or redis.
	Kind string `json:"kind"`
	// Shared tells whether nodes have it in common.
	Shared bool `json:"shared"`
	// Reachable tells whether the newest read succeeded; LastError and Since are of one
	// that did not.
	Reachable bool      `json:"reachable"`
	LastError string    `json:"last_error,omitempty"`
	Since     time.Time `json:"since,omitzero"`
	// UnreadableValues and UnreadableRecords are what no secret of `seal` opens.
	UnreadableValues  uint64 `json:"unreadable_values,omitempty"`
	UnreadableRecords uint64 `json:"unreadable_records,omitempty"`

	Revocations listState `json:"revocations"`
}

// listState is the list of revocations.
type listState struct {
	// Loaded tells whether the whole list was read once.
	Loaded bool `json:"loaded"`
	// Contact is when the log was last read to its end, Position how far.
	Contact  time.Time `json:"contact,omitzero"`
	Position string    `json:"position,omitempty"`
	// Events is how many there are, ByKind of which kind.
	Events int            `json:"events"`
	ByKind map[string]int `json:"by_kind,omitempty"`
	// Undecodable is how many records could not be read as revocations.
	Undecodable uint64 `json:"undecodable,omitempty"`
	// Watched is how many open streams end when their token is revoked.
	Watched int `json:"open_streams"`
	// MaxStaleness is how old the list may be, Then what is done with tokens when it is
	// older: closed or open.
	MaxStaleness string `json:"max_staleness"`
	Then         string `json:"then"`

	bound time.Duration
}

func storeOf(app Operated) storeState {
	storage, status := app.Storage(), app.Revocations().Status()
	shown := storeState{
		Kind: storage.Kind, Shared: storage.Shared, Reachable: status.Trouble == nil,
		UnreadableValues: storage.UnreadableValues, UnreadableRecords: storage.UnreadableRecords,
		Revocations: listState{
			Loaded: status.Loaded, Contact: utc(status.Contact), Position: string(status.Position), Events: status.Events,
			Undecodable: status.Undecodable, Watched: status.Watched,
			MaxStaleness: written(storage.MaxStaleness), Then: "closed", bound: storage.MaxStaleness,
		},
	}
	if storage.Open {
		shown.Revocations.Then = "open"
	}
	if status.Trouble != nil {
		shown.LastError, shown.Since = string(status.Trouble.Fault), utc(status.Trouble.Since)
	}
	for kind, count := range app.Revocations().List().Counts() {
		if count == 0 {
			continue
		}
		if shown.Revocations.ByKind == nil {
			shown.Revocations.ByKind = make(map[string]int)
		}
		shown.Revocations.ByKind[string(kind)] = count
	}
	return shown
}
