package provider

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// maxRecords is how many token requests are remembered.
const maxRecords = 200

// maxRecordedValue bounds a remembered parameter.
const maxRecordedValue = 256

// recordedParameters are the parameters whose values are no secret.
var recordedParameters = []string{
	"grant_type", "audience", "resource", "scope", "subject_token_type", "actor_token_type",
	"requested_token_type", "client_id", "client_assertion_type", "redirect_uri",
}

// TokenRequest is what is remembered of one request to the token endpoint: never
// a token, a code, an assertion or a secret.
type TokenRequest struct {
	// Parameters are the names of all form parameters, sorted.
	Parameters []string `json:"parameters"`
	// Values are the values of harmless ones.
	Values map[string][]string `json:"values"`
	// ClientAuth is basic, post, assertion or none.
	ClientAuth string `json:"client_auth"`
	// Status is the answer's status; 0 while there is none, or if there never was.
	Status int `json:"status"`
}

// Stats counts requests since the start or the last reset.
type Stats struct {
	// Requests are counted by endpoint: discovery, jwks, authorize, token,
	// introspect, revoke, userinfo.
	Requests map[string]int `json:"requests"`
	// Grants are the token requests by grant_type, as it was sent.
	Grants map[string]int `json:"grants"`
	// TokenRequests are the last 200, oldest first.
	TokenRequests []TokenRequest `json:"token_requests"`
}

type counters struct {
	mu      sync.Mutex
	stats   Stats
	records []*TokenRequest
}

func newCounters() *counters {
	c := new(counters)
	c.reset()
	return c
}

func (c *counters) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats = Stats{Requests: map[string]int{}, Grants: map[string]int{}}
	c.records = nil
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	copied := Stats{
		Requests: maps.Clone(c.stats.Requests), Grants: maps.Clone(c.stats.Grants),
		TokenRequests: make([]TokenRequest, 0, len(c.records)),
	}
	for _, request := range c.records {
		copied.TokenRequests = append(copied.TokenRequests, *request)
	}
	return copied
}

// begin counts a request as it arrives, so that one that hangs is seen as well.
// The function it returns notes the answer's status.
func (c *counters) begin(endpoint string, form url.Values, r *http.Request) (finish func(status int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Requests[endpoint]++
	if endpoint != endpointToken {
		return func(int) {}
	}
	// Names chosen by a client must not grow the map without bound.
	if grant := short(form.Get("grant_type")); len(c.stats.Grants) < maxRecords || c.stats.Grants[grant] > 0 {
		c.stats.Grants[grant]++
	}
	request := record(form, r)
	c.records = append(c.records, request)
	if extra := len(c.records) - maxRecords; extra > 0 {
		c.records = slices.Delete(c.records, 0, extra)
	}
	return func(status int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		request.Status = status
	}
}

func record(form url.Values, r *http.Request) *TokenRequest {
	t := &TokenRequest{
		Parameters: slices.Sorted(maps.Keys(form)), Values: make(map[string][]string),
		ClientAuth: clientAuth(form, r),
	}
	for _, name := range recordedParameters {
		for _, value := range form[name] {
			t.Values[name] = append(t.Values[name], short(value))
		}
	}
	return t
}

func clientAuth(form url.Values, r *http.Request) string {
	_, _, basic := r.BasicAuth()
	switch {
	case basic:
		return "basic"
	case form.Has("client_secret"):
		return "post"
	case form.Has("client_assertion"):
		return "assertion"
	default:
		return "none"
	}
}

func short(value string) string {
	return value[:min(len(value), maxRecordedValue)]
}
