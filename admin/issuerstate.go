package admin

import (
	"encoding/base64"
	"time"

	"github.com/caddy-gatehouse/gatehouse/keys"
)

// maxShownKeys is how many keys of one issuer are shown. A key set may have a hundred.
const maxShownKeys = 20

// The states of a key set.
const (
	keysFile    = "file"    // of a file: they never change
	keysMissing = "missing" // they have not come yet
	keysFresh   = "fresh"
	keysStale   = "stale"   // older than twice their refresh, and serving
	keysExpired = "expired" // too old to serve
)

// issuerState is one whose keys the configuration needs.
type issuerState struct {
	Name string `json:"name,omitempty"`
	URL  string `json:"url"`
	// Role is issuer, region, client or transmitter.
	Role string `json:"role"`
	// State is that of the key set: file, missing, fresh, stale or expired.
	State string `json:"state"`
	// Fetched is when the newest key set came.
	Fetched time.Time `json:"fetched,omitzero"`
	// NextRefresh is when the next attempt to renew is due.
	NextRefresh time.Time `json:"next_refresh,omitzero"`
	// Failing tells that the newest attempt failed. LastError and LastErrorAt are of the
	// newest one that did, also when it works again.
	Failing     bool      `json:"failing"`
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// KeyCount is how many keys there are; Keys are the first of them.
	KeyCount int         `json:"key_count"`
	Keys     []shownKey  `json:"keys"`
	Unusable int         `json:"unusable_keys,omitempty"`
	Asked    bool        `json:"introspection,omitempty"`
	Places   []placeInfo `json:"places,omitempty"`
}

// shownKey names a key. A shared secret has no thumbprint: it would let guesses be tried.
type shownKey struct {
	Kid        string `json:"kid,omitempty"`
	Algorithm  string `json:"algorithm,omitempty"`
	Thumbprint string `json:"thumbprint,omitempty"`
}

// placeInfo is one place where an issuer runs.
type placeInfo struct {
	URL  string `json:"url"`
	Down bool   `json:"down"`
}

func issuersOf(app Operated) []issuerState {
	sources := app.KeySources()
	all := make([]issuerState, 0, len(sources))
	for i := range sources {
		all = append(all, issuerOf(&sources[i]))
	}
	return all
}

func issuerOf(source *KeySource) issuerState {
	status := &source.Status
	shown := issuerState{
		Name: source.Name, URL: source.URL, Role: source.Role, State: stateOf(status), Asked: source.Asked,
		Failing: status.Down, LastError: string(status.Fault), KeyCount: len(status.Keys), Unusable: status.Dropped,
		Fetched: utc(status.Fetched), NextRefresh: utc(status.Next), LastErrorAt: utc(status.Failed),
		Keys: make([]shownKey, 0, min(len(status.Keys), maxShownKeys)),
	}
	for _, key := range status.Keys[:min(len(status.Keys), maxShownKeys)] {
		one := shownKey{Kid: key.ID, Algorithm: string(key.Algorithm)}
		if key.Thumbprint != ([32]byte{}) {
			one.Thumbprint = base64.RawURLEncoding.EncodeToString(key.Thumbprint[:])
		}
		shown.Keys = append(shown.Keys, one)
	}
	if len(source.Places) > 1 {
		for _, place := range source.Places {
			shown.Places = append(shown.Places, placeInfo{URL: place.URL, Down: place.Down})
		}
	}
	return shown
}

func stateOf(status *keys.Status) string {
	switch {
	case !status.Loaded:
		return keysMissing
	case status.Static:
		return keysFile
	case !status.Usable:
		return keysExpired
	case status.Stale:
		return keysStale
	default:
		return keysFresh
	}
}

// unusable tells whether tokens cannot be verified. Whose tokens are asked about may
// have no keys at all.
func (s *issuerState) unusable() bool {
	return (s.State == keysMissing || s.State == keysExpired) && !s.Asked
}

func (s issuerState) troubled() bool {
	for _, place := range s.Places {
		if place.Down {
			return true
		}
	}
	return s.unusable() || s.Failing && !s.Asked || s.State == keysStale
}
