package revocation

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// A Trouble is a log that cannot be read.
type Trouble struct {
	// Fault says why, in a word.
	Fault Fault
	// Since is when that began, on this node.
	Since time.Time
}

// A Fault names what is wrong with a store, in a word that is the same for all of them.
type Fault string

// The faults.
const (
	// FaultTimeout: it did not answer in time.
	FaultTimeout Fault = "timeout"
	// FaultUnavailable: it cannot be reached, or not be used.
	FaultUnavailable Fault = "unavailable"
	// FaultFull: there is no room for what it holds.
	FaultFull Fault = "full"
	// FaultOther: none of these.
	FaultOther Fault = "other"
)

func faultOf(err error) Fault {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return FaultTimeout
	case errors.Is(err, store.ErrUnavailable):
		return FaultUnavailable
	case errors.Is(err, store.ErrFull), errors.Is(err, ErrFull):
		return FaultFull
	default:
		return FaultOther
	}
}

// troubled notes why the log cannot be read, and since when.
func (f *follower) troubled(err error) {
	trouble := &Trouble{Fault: faultOf(err), Since: time.Now()}
	if before := f.trouble.Load(); before != nil {
		trouble.Since = before.Since
	}
	f.trouble.Store(trouble)
}
