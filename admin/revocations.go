package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/revocation"
)

// A Revocation is an event as the admin API shows it.
type Revocation struct {
	ID     string          `json:"id,omitempty"`
	Kind   revocation.Kind `json:"kind"`
	Issuer string          `json:"issuer"`
	Value  string          `json:"value,omitempty"`
	Before time.Time       `json:"before,omitzero"`
	Until  time.Time       `json:"until"`
	At     time.Time       `json:"at"`
	Reason string          `json:"reason,omitempty"`
	By     string          `json:"by,omitempty"`
}

func shown(e *revocation.Event) Revocation {
	return Revocation{
		ID: e.ID, Kind: e.Kind, Issuer: e.Issuer, Value: e.Value,
		Before: utc(e.Before), Until: utc(e.Until), At: utc(e.At), Reason: e.Reason, By: e.By,
	}
}

// utc keeps the zero time, which time.UTC would as well, and drops the clock's own
// reading.
func utc(at time.Time) time.Time { return at.UTC().Round(0) }

// outcome is what POST /gatehouse/revocations answers.
type outcome struct {
	// DryRun tells that nothing was stored.
	DryRun bool `json:"dry_run,omitempty"`
	// Revoked is how many orders the store has.
	Revoked int `json:"revoked"`
	// Revocations are the events, in the order of the orders, without those that
	// failed.
	Revocations []Revocation `json:"revocations"`
	// Ends is how much of what this node holds the orders end, by what it is; only in
	// a dry run and with count.
	Ends map[string]int `json:"ends,omitempty"`
	// Failed are the orders that the store did not take.
	Failed []failure `json:"failed,omitempty"`
}

// A failure is one order that the store did not take.
type failure struct {
	// Order counts from one.
	Order int    `json:"order"`
	Error string `json:"error"`
}

// status implements the answer's own status: what is not acknowledged must be
// ordered again.
func (o *outcome) status() int {
	if len(o.Failed) > 0 {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

// Names of acts in the audit trail.
const (
	actRevoke = "revoke"
	actTry    = "revoke_dry_run"
)

func (a *API) revoke(r *http.Request, app Operated) (any, error) {
	query, err := readQuery(r, "dry_run", "count")
	dry := query.Has("dry_run")
	act := actRevoke
	if dry {
		act = actTry
	}
	var events []revocation.Event
	if err == nil {
		err = checkFlags(query)
	}
	if err == nil {
		events, err = readEvents(r, app.Trusted(), time.Now())
	}
	if err != nil {
		app.Trail().Operated(r.Context(), audit.Act{Name: act, RemoteIP: remoteIP(r), Err: err})
		return nil, err
	}
	done := outcome{DryRun: dry}
	if dry || query.Has("count") {
		if done.Ends, err = countEnds(r.Context(), app, events); err != nil {
			return nil, err
		}
	}
	faults := make([]error, len(events))
	if !dry {
		faults = app.Revocations().RevokeAll(r.Context(), events)
	}
	for i := range events {
		done.add(i, &events[i], faults[i])
		noteRevocation(r, app, act, &events[i], faults[i])
	}
	return &done, nil
}

func (o *outcome) add(i int, event *revocation.Event, err error) {
	if err != nil {
		o.Failed = append(o.Failed, failure{Order: i + 1, Error: err.Error()})
		return
	}
	if !o.DryRun {
		o.Revoked++
	}
	o.Revocations = append(o.Revocations, shown(event))
}

// noteRevocation writes the audit line of one order.
func noteRevocation(r *http.Request, app Operated, act string, event *revocation.Event, err error) {
	app.Trail().Operated(r.Context(), audit.Act{
		Name: act, RemoteIP: remoteIP(r), Revocation: event.ID, Kind: string(event.Kind),
		Issuer: event.Issuer, Reason: event.Reason, Err: err,
	})
}

// errBadQuery says that the parameters of a request are not valid.
var errBadQuery = errors.New("the query is not valid")

func badQuery(mend string, args ...any) error {
	return fmt.Errorf("%w: %s", errBadQuery, fmt.Sprintf(mend, args...))
}

// readQuery reads the parameters of a request, and refuses those that nobody knows.
func readQuery(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badQuery("it cannot be read")
	}
	rest := len(values)
	for _, name := range known {
		if values.Has(name) {
			rest--
		}
		if len(values[name]) > 1 {
			return values, badQuery("%s: it is written twice", name)
		}
	}
	if rest > 0 && len(known) == 0 {
		return values, badQuery("this request has no parameters")
	}
	if rest > 0 {
		return values, badQuery("an unknown parameter: known are %v", known)
	}
	return values, nil
}

// checkFlags refuses a value that would be taken for another one than it is.
func checkFlags(query url.Values) error {
	for name := range query {
		if value := query.Get(name); value != "" && value != "true" {
			return bad(name, "neither nothing nor true: leave it out otherwise")
		}
	}
	return nil
}
