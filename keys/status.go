package keys

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A Fault names what went wrong with the newest attempt to renew a key set, in a word
// that is the same for every issuer.
type Fault string

// The faults.
const (
	// FaultTimeout: the issuer did not answer in time.
	FaultTimeout Fault = "timeout"
	// FaultUnreachable: no connection, no name, no trust in the certificate, or an
	// answer that is no 200.
	FaultUnreachable Fault = "unreachable"
	// FaultBadAnswer: the issuer answered, and not with metadata and keys.
	FaultBadAnswer Fault = "bad_answer"
	// FaultOther: what is none of these, such as storage that cannot be read.
	FaultOther Fault = "other"
)

// A Status is what is known of an issuer's keys at one moment. It holds no key.
type Status struct {
	// Static tells that the keys are of a file and are never renewed.
	Static bool
	// Loaded tells whether there is a key set, and Fetched when it came.
	Loaded  bool
	Fetched time.Time
	// Usable tells whether the key set may still serve: it is not older than MaxStale.
	Usable bool
	// Stale is whether it is twice as old as it should ever be.
	Stale bool
	// Down tells that the newest attempt to renew failed, at Failed and for that Fault.
	// Failed and Fault stay when it works again.
	Down   bool
	Failed time.Time
	Fault  Fault
	// Next is when the next renewal is due, zero if nothing renews the keys.
	Next time.Time
	// Keys are those of the set.
	Keys []KeyStatus
	// Dropped is how many members of the newest set cannot be used.
	Dropped int
}

// A KeyStatus is one key of a set.
type KeyStatus struct {
	// ID is its kid, "" if it has none.
	ID string
	// Algorithm is what the key names, "" if it names none.
	Algorithm jose.Algorithm
	// Thumbprint is that of RFC 7638, zeros for a shared secret.
	Thumbprint [32]byte
}

// Status tells what is known. It asks nobody, and holds no lock that a request waits
// for longer than a few words are read.
func (s *Source) Status() Status {
	snapshot := s.config.State.Snapshot()
	status := Status{Static: s.config.Fetcher == nil, Loaded: snapshot != nil, Usable: s.current() != nil}
	if snapshot != nil {
		status.Fetched = snapshot.Fetched
		status.Stale, _ = s.Stale()
		for _, key := range snapshot.keys {
			status.Keys = append(status.Keys, KeyStatus{ID: key.ID(), Algorithm: key.Algorithm(), Thumbprint: key.Thumbprint()})
		}
	}
	if next := s.next.Load(); next != 0 {
		status.Next = time.Unix(0, next)
	}
	state := s.config.State
	state.mu.Lock()
	defer state.mu.Unlock()
	status.Down, status.Failed, status.Fault, status.Dropped = state.down, state.failed, state.fault, len(state.dropped)
	return status
}

// faultOf names an error of a fetch, "" for none.
func faultOf(err error) Fault {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, authserver.ErrTimeout):
		return FaultTimeout
	case authserver.IsUnreachable(err):
		return FaultUnreachable
	case authserver.IsBadAnswer(err):
		return FaultBadAnswer
	default:
		return FaultOther
	}
}
