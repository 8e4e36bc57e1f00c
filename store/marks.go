package store

import (
	"context"
	"errors"
	"time"
)

// Errors of every store, in addition to the context's.
var (
	// ErrFull says that the store holds as much of that purpose as it may, all of
	// it still needed.
	ErrFull = errors.New("the store is full")
	// ErrUnavailable says that the store, or enough of it, could not be reached.
	ErrUnavailable = errors.New("the store cannot be reached")
)

// A Purpose names a kind of thing in the store. Purposes are constants of the
// code, never made from a request.
type Purpose string

// Marks remember what may be used once.
type Marks interface {
	// Mark records that the identifier was used for the purpose and tells whether
	// that is the first time: fresh is true for exactly one of all calls with this
	// purpose and identifier until the instant has passed. A call that finds a mark
	// neither moves it nor extends it.
	//
	// An instant that has passed already cannot be remembered, so fresh is false:
	// whoever checks times of its own has refused such a thing before.
	//
	// The identifier may be any octets; to keep the store small it should be a hash.
	// If err is not nil fresh is false and the identifier may have been marked.
	Mark(ctx context.Context, purpose Purpose, id string, until time.Time) (fresh bool, err error)
}
