package provider

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// oversizeBytes is the length of an oversized answer: more than any sane client reads.
const oversizeBytes = 8 << 20

// Bodies a fault can answer with; see Fault.Body.
const (
	bodyHTML      = "html"
	bodyEmpty     = "empty"
	bodyTruncated = "truncated"
	bodyOversize  = "oversize"
	bodyAbort     = "abort"
)

// duration is a time.Duration that is written as text, such as 250ms.
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Fault is a way to misbehave at one endpoint.
type Fault struct {
	// Endpoint is discovery, jwks, authorize, token, introspect, revoke or userinfo.
	Endpoint string `json:"endpoint"`
	// Grant narrows a fault of the token endpoint to one grant.
	Grant string `json:"grant,omitempty"`
	// Times is how many requests are left; 0 means until cleared.
	Times int `json:"times,omitempty"`
	// Delay comes before anything else; a client that hangs up ends it.
	Delay duration `json:"delay,omitempty"`
	// Redirect answers 307 to this loopback URL.
	Redirect string `json:"redirect,omitempty"`
	// Status and Error answer at once, Error as an OAuth error code.
	Status int    `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`
	// Body is html, empty, truncated, oversize, or abort (close the connection).
	Body string `json:"body,omitempty"`
	// Headers are set on the answer.
	Headers map[string]string `json:"headers,omitempty"`
	// Set and Omit change members of the JSON answer.
	Set  map[string]any `json:"set,omitempty"`
	Omit []string       `json:"omit,omitempty"`
	// Token bends the access token that is minted.
	Token *Override `json:"token,omitempty"`
}

// before does what comes instead of an answer. It reports whether the request
// goes on; a nil fault always lets it.
func (f *Fault) before(w http.ResponseWriter, r *http.Request) bool {
	if f == nil {
		return true
	}
	if !f.wait(r) {
		return false
	}
	switch {
	case f.Body == bodyAbort:
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's own way to cut a connection
	case f.Redirect != "":
		w.Header().Set("Location", f.Redirect)
	case f.Status != 0 || f.Error != "":
	default:
		return true
	}
	f.refuse(w)
	return false
}

func (f *Fault) wait(r *http.Request) bool {
	if f.Delay <= 0 {
		return true
	}
	timer := time.NewTimer(time.Duration(f.Delay))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// statusOr is the status this fault answers with, or fallback.
func (f *Fault) statusOr(fallback int) int {
	switch {
	case f == nil:
		return fallback
	case f.Redirect != "":
		return http.StatusTemporaryRedirect
	case f.Status != 0:
		return f.Status
	case f.Error == "invalid_client":
		return http.StatusUnauthorized
	case f.Error != "":
		return http.StatusBadRequest
	default:
		return fallback
	}
}

func (f *Fault) refuse(w http.ResponseWriter) {
	for name, value := range f.Headers {
		w.Header().Set(name, value)
	}
	if f.Error == "" {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(f.statusOr(http.StatusInternalServerError))
		return
	}
	writeJSON(w, f.statusOr(http.StatusBadRequest), map[string]string{
		"error": f.Error, "error_description": "dev_idp was told to answer so",
	})
}

// after changes an answer on its way out.
func (f *Fault) after(a *answer) {
	if f == nil {
		return
	}
	for name, value := range f.Headers {
		a.header.Set(name, value)
	}
	if len(f.Set) > 0 || len(f.Omit) > 0 {
		f.edit(a)
	}
	switch f.Body {
	case bodyHTML:
		a.header.Set("Content-Type", "text/html")
		a.replace("<!doctype html><title>dev_idp</title>This is not JSON.")
	case bodyEmpty:
		a.replace("")
	case bodyTruncated:
		a.body.Truncate(a.body.Len() / 2)
	case bodyOversize:
		// Still valid JSON: only a limit on the length can refuse it.
		f.Set, f.Omit = map[string]any{"padding": strings.Repeat("x", oversizeBytes)}, nil
		f.edit(a)
	}
}

// edit changes members of a JSON object; anything else is left as it is.
func (f *Fault) edit(a *answer) {
	members := make(map[string]any)
	if json.Unmarshal(a.body.Bytes(), &members) != nil {
		return
	}
	maps.Copy(members, f.Set)
	for _, name := range f.Omit {
		delete(members, name)
	}
	if body, err := json.Marshal(members); err == nil {
		a.replace(string(body))
	}
}

func (a *answer) replace(body string) {
	a.body.Reset()
	a.body.WriteString(body)
}

// faultBook holds the faults in force, in the order they were set.
type faultBook struct {
	mu     sync.Mutex
	faults []Fault
}

func (b *faultBook) add(f Fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, f)
}

func (b *faultBook) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = nil
}

func (b *faultBook) list() []Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Fault{}, b.faults...)
}

// take returns a copy of the first fault that fits, and uses it up by one.
func (b *faultBook) take(endpoint, grant string) *Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, f := range b.faults {
		if f.Endpoint != endpoint || (f.Grant != "" && string(grantTypes[f.Grant]) != grant) {
			continue
		}
		if f.Times == 1 {
			b.faults = slices.Delete(b.faults, i, i+1)
		} else if f.Times > 1 {
			b.faults[i].Times--
		}
		return &f
	}
	return nil
}
