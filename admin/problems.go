package admin

import (
	"fmt"
	"slices"
	"time"
)

// Severities of problems.
const (
	// severityError is what makes requests fail that should not.
	severityError = "error"
	// severityWarning is what will, or may.
	severityWarning = "warning"
)

// A problem is something that is not as it should be.
type problem struct {
	Severity string `json:"severity"`
	// What is the thing, such as "issuer main", and Reason why it is a problem.
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// problems collects.
type problems struct {
	now   time.Time
	found []problem
}

func (p *problems) add(severity, what, reason string, args ...any) {
	p.found = append(p.found, problem{Severity: severity, What: what, Reason: fmt.Sprintf(reason, args...)})
}

// problemsOf looks through an overview and its lists, and puts errors first.
func problemsOf(all *overview, lists *sections) []problem {
	p := &problems{now: all.At, found: []problem{}}
	for i := range lists.issuers {
		p.issuer(&lists.issuers[i])
	}
	p.keys(all.Keys)
	p.store(&all.Store)
	for i := range lists.exchanges {
		p.exchange(&lists.exchanges[i])
	}
	for i := range lists.breakers {
		p.breaker(&lists.breakers[i])
	}
	for i := range lists.statusLists {
		p.statusList(&lists.statusLists[i])
	}
	for i := range lists.limits {
		if lists.limits[i].Counts == countsAlone {
			p.add(severityWarning, "limit "+lists.limits[i].Key, "each node counts alone: the store did not answer at the last request")
		}
	}
	slices.SortStableFunc(p.found, func(a, b problem) int { return rank(a.Severity) - rank(b.Severity) })
	return p.found[:min(len(p.found), maxProblems)]
}

// maxProblems bounds the list.
const maxProblems = 100

func rank(severity string) int {
	if severity == severityError {
		return 0
	}
	return 1
}

func (p *problems) issuer(s *issuerState) {
	what := s.Role + " " + s.label()
	switch {
	case s.Asked && s.Fetched.IsZero():
		// It may have no keys.
	case s.State == keysMissing && s.Failing:
		p.add(severityError, what, "its keys have not come yet: %s", s.LastError)
	case s.State == keysMissing:
		p.add(severityError, what, "its keys have not come yet")
	case s.State == keysExpired:
		p.add(severityError, what, "its keys are too old to serve: fetched %s, %s", ago(p.now, s.Fetched), s.LastError)
	case s.Failing:
		p.add(severityWarning, what, "its keys cannot be renewed: %s; those of %s serve", s.LastError, ago(p.now, s.Fetched))
	case s.State == keysStale:
		p.add(severityWarning, what, "its keys were fetched %s, which is too long ago", ago(p.now, s.Fetched))
	}
	for _, place := range s.Places {
		if place.Down {
			p.add(severityWarning, what, "its server %s fails", place.URL)
		}
	}
}

func (s issuerState) label() string {
	if s.Name == "" {
		return s.URL
	}
	return s.Name + " (" + s.URL + ")"
}

func (p *problems) keys(list *keyList) {
	switch {
	case list == nil || !list.Degraded:
	case list.Trouble != "":
		p.add(severityError, "signing keys", "%s", list.Trouble)
	default:
		p.add(severityError, "signing keys", "a key signs beyond its planned end, or none does")
	}
}

func (p *problems) store(s *storeState) {
	what, list := "store "+s.Kind, &s.Revocations
	old := list.Loaded && p.now.Sub(list.Contact) > list.bound
	switch {
	case !list.Loaded && list.Then == "closed":
		p.add(severityError, what, "the list of revocations has not been read yet: tokens are answered with 503")
	case !list.Loaded:
		p.add(severityError, what, "the list of revocations has not been read yet")
	case old && list.Then == "closed":
		p.add(severityError, what, "last read %s, and max_staleness is %s: tokens are answered with 503", ago(p.now, list.Contact), list.MaxStaleness)
	case old:
		p.add(severityError, what, "last read %s: what other nodes revoke is not known here", ago(p.now, list.Contact))
	}
	if !s.Reachable {
		p.add(severityError, what, "it cannot be read: %s, since %s", s.LastError, ago(p.now, s.Since))
	}
	if s.UnreadableRecords > 0 || list.Undecodable > 0 {
		p.add(severityError, what, "%d revocations cannot be read: compare seal on all nodes", s.UnreadableRecords+list.Undecodable)
	}
	if s.UnreadableValues > 0 {
		p.add(severityWarning, what, "%d values cannot be read: compare seal on all nodes", s.UnreadableValues)
	}
}

func (p *problems) exchange(s *exchangeState) {
	what, said := "exchange "+s.Name, s.LastErrorCode
	if said != "" {
		said = ": " + said
	}
	switch {
	case s.Misconfigured && s.EverSucceeded:
		p.add(severityError, what, "the server refuses the gateway or what it asks for%s; it worked %s", said, ago(p.now, s.LastSuccess))
	case s.Misconfigured:
		p.add(severityError, what, "the server refuses the gateway or what it asks for%s; it has never worked", said)
	case s.serverFails():
		p.add(severityWarning, what, "the newest request failed %s: %s", ago(p.now, s.LastRequest), s.LastOutcome)
	}
}

func (p *problems) breaker(s *breakerState) {
	switch s.State {
	case breakerOpen:
		p.add(severityError, "endpoint "+s.name(), "it is left alone: %s", s.Reason)
	case breakerHalfOpen:
		p.add(severityWarning, "endpoint "+s.name(), "it was left alone, and the next call tries it: %s", s.Reason)
	}
}

func (p *problems) statusList(s *statusListState) {
	what, said := "status list "+s.URI, s.LastError
	if said == "" {
		said = "it is being fetched"
	}
	switch {
	case !s.serves():
		p.add(severityError, what, "it is not there, so tokens that name it are answered with 503: %s", said)
	case s.troubled():
		p.add(severityWarning, what, "it cannot be renewed: %s; that of %s serves", said, ago(p.now, s.Fetched))
	}
}
