package sts

import (
	"errors"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// Holdings bound what one client can take of the room for references, which all
// clients of all token services of a process share: no client has more of it than is
// still free. One that asks without end gets half of it and is refused then; the next
// such one gets half of what is left. A client that asks for little always finds room.
//
// They count what this process issued. Whatever the store has besides, its own bound
// holds as well.
type Holdings struct {
	entries, bytes int // all the room

	mu   sync.Mutex
	all  amount
	of   map[string]*holding // by client
	seen int64               // the second of the last sweep
}

type amount struct{ entries, bytes int }

func (a *amount) add(more amount)  { a.entries, a.bytes = a.entries+more.entries, a.bytes+more.bytes }
func (a *amount) take(less amount) { a.add(amount{-less.entries, -less.bytes}) }

// A holding is what one client has, by the second by which it has ended. A token
// lives a few minutes, so there are some hundred seconds.
type holding struct {
	amount

	ends map[int64]amount
}

// NewHoldings makes holdings of nobody. Zero means as many references, and as many
// octets in them, as store.Memory keeps of one purpose.
func NewHoldings(entries, bytes int) *Holdings {
	if entries <= 0 {
		entries = store.DefaultValues
	}
	if bytes <= 0 {
		bytes = store.DefaultValueBytes
	}
	return &Holdings{entries: entries, bytes: bytes, of: make(map[string]*holding)}
}

// maxRevoked is how many revocations the clients may cause at a time: half of what a
// list in Redis holds, so that there is room for those of operators.
const maxRevoked = 1 << 19

// afterlife is how long a revocation is kept behind the end of the token, which some
// clocks see later.
const afterlife = 2 * time.Minute

// NewRevocations makes holdings of revocations.
func NewRevocations() *Holdings { return NewHoldings(maxRevoked, maxRevoked) }

var errShare = errors.New("the client has as many references as are still free for all others")

// take asks for room for one value of that size, until it ends. Whoever did not use
// it gives it back.
func (h *Holdings) take(client string, size int, now, until time.Time) (giveBack func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sweep(now.Unix())
	mine := h.of[client]
	if mine == nil {
		mine = &holding{ends: make(map[int64]amount)}
	}
	if mine.entries >= h.entries-h.all.entries || mine.bytes+size > h.bytes-h.all.bytes {
		return nil, errShare
	}
	h.of[client] = mine
	one, second := amount{1, size}, until.Unix()+1
	h.change(mine, second, one)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		// What was swept meanwhile is gone already.
		if mine.ends[second].entries > 0 {
			h.change(mine, second, amount{-one.entries, -one.bytes})
		}
	}, nil
}

func (h *Holdings) change(mine *holding, second int64, by amount) {
	ends := mine.ends[second]
	ends.add(by)
	mine.ends[second] = ends
	mine.add(by)
	h.all.add(by)
}

// sweep forgets what has ended, once a second.
func (h *Holdings) sweep(now int64) {
	if now == h.seen {
		return
	}
	h.seen = now
	for client, mine := range h.of {
		for second, ended := range mine.ends {
			if second <= now {
				mine.take(ended)
				h.all.take(ended)
				delete(mine.ends, second)
			}
		}
		if len(mine.ends) == 0 {
			delete(h.of, client)
		}
	}
}
