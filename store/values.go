package store

import (
	"context"
	"time"
)

// MaxValue is the most octets that one value may have in any store: a long token
// and what is known of it.
const MaxValue = 32 << 10

// Values keep small values for a while, each under a purpose and a key.
type Values interface {
	// Put keeps the value until the instant has passed, in place of one that is
	// there already. The store keeps a copy of its own. A value whose instant has
	// passed is not kept, and one that was there is gone.
	//
	// The key may be any octets. It fails with ErrFull where there is no room and
	// all that is there is still good: nothing is dropped to make room. A value
	// longer than MaxValue is an error of the caller's.
	Put(ctx context.Context, purpose Purpose, key string, value []byte, until time.Time) error

	// Get returns the value that the last Put with this purpose and key kept, for the
	// caller to change as it likes; found is false if there is none, or its instant
	// has passed. If err is not nil, found is false and there may be one.
	Get(ctx context.Context, purpose Purpose, key string) (value []byte, found bool, err error)

	// Delete drops the value. That there is none is no error.
	Delete(ctx context.Context, purpose Purpose, key string) error
}
