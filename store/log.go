package store

import (
	"context"
	"errors"
	"time"
)

// ErrReset says that a log is not the one that a position was taken from: it was
// emptied, or its engine began anew and may have lost its end. Whoever gets it reads
// the log from its beginning, and appends once more what it holds and the log does not.
var ErrReset = errors.New("the log is not the one that was read before")

// MaxRecord is the most octets that one record may have in any store.
const MaxRecord = 4 << 10

// Grace is how long a record is kept behind its end, as long as there is room: a clock
// that is ahead for a moment must not make it forgotten.
const Grace = 10 * time.Minute

// A Position is a place in one life of a log, right behind a record. It means nothing
// to anybody but the store that gave it. The empty one is the log's beginning.
type Position string

// A Record is an entry of a log.
type Record struct {
	// ID is the record's own name, chosen by whoever appended it.
	ID string
	// Data is the record itself, for the reader to change as it likes.
	Data []byte
	// Until is when the record ends.
	Until time.Time
	// Position lies right behind the record.
	Position Position
}

// A Log is an ordered list of records that every node reads. Each Purpose names one.
type Log interface {
	// Append adds a record at the end, kept until the instant has passed. When it
	// returns without an error the record is there for every reader, and will be for as
	// long as the store promises to keep anything: a store with a file has written it
	// through to the disk.
	//
	// The identifier may be any octets. A record with an identifier that the log holds
	// already is not added a second time, so that an Append of which nobody knows
	// whether it came to anything can be repeated. A record whose instant has passed is
	// not added. Append fails with ErrFull where there is no room; a record longer than
	// MaxRecord is an error of the caller's.
	Append(ctx context.Context, log Purpose, id string, data []byte, until time.Time) error

	// Read returns the records behind a position, in order, at most limit of them and
	// without those that have ended. Where there are none it waits for the first one, up
	// to that long, and then returns none. Together with the records comes the position to
	// go on from: it moves past ended records too.
	//
	// It fails with ErrReset where the position is of another life of the log. Records
	// are missed by no reader that goes on from where it was, however slow it is, unless
	// they have ended.
	Read(ctx context.Context, log Purpose, after Position, limit int, wait time.Duration) (records []Record, next Position, err error)
}

// A Reserver is a log that holds some of its room back.
type Reserver interface {
	// AppendLeaving is Append for those who must leave Reserve of the room to others: it
	// fails with ErrFull where no more than that is free.
	AppendLeaving(ctx context.Context, log Purpose, id string, data []byte, until time.Time) error
}

// Reserve is how much of so much room is held back: a sixteenth.
func Reserve(room int) int { return room / reserved }

const reserved = 16

// A Batcher is a log that takes many records in less time than one by one.
type Batcher interface {
	// AppendAll appends records in their order, each as Append does; their Positions do
	// not matter. The error is that of the first one that was not taken: of those behind
	// it nobody knows.
	AppendAll(ctx context.Context, log Purpose, records []Record) error
}

// A Sharer is a store that says who else uses it. Without this a store is one node's.
type Sharer interface {
	// Shared tells that other nodes find here what this one puts, and that nobody reads
	// it but with the secrets that all of them seal with.
	Shared() bool
}

// IsShared tells whether a store is of several nodes.
func IsShared(s Store) bool {
	sharer, ok := s.(Sharer)
	return ok && sharer.Shared()
}

// A Store is one that can do everything.
type Store interface {
	Marks
	Values
	Log

	// Open makes the store ready: it opens its files or reaches its servers. Until it
	// has returned without an error every method may fail with ErrUnavailable. It may be
	// called again, and does nothing then. A store whose servers do not answer opens all
	// the same and goes on trying; an error is one that only an operator can mend.
	Open(ctx context.Context) error

	// Probe asks whether the store answers now. It is for readiness, not for requests.
	Probe(ctx context.Context) error

	// Close lets go of files and connections. The store is not used again.
	Close() error
}
