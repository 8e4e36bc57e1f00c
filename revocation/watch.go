package revocation

import (
	"sync"
	"sync/atomic"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Watch calls end, once and from another goroutine, as soon as the token is no
// longer good. It does so as well where it is on the list already: between the check
// of a request and the moment at which the request turns out to last the token may
// have been revoked. end must not block for long, nor call back into the state. The
// function returned ends the watch; end may be running then.
//
// It is for what lasts: a watch takes a little memory for as long as it goes on, and
// each event that comes in is held against all of them.
func (s *State) Watch(t *token.Token, end func()) (stop func()) {
	w := &watch{token: t, end: end}
	s.watches.add(w)
	if s.Revoked(t) != nil {
		w.call()
	}
	return func() { s.watches.remove(w) }
}

// watchShards keep those who begin and end streams out of each other's way.
const watchShards = 16

// watches are the tokens that something goes on for.
type watches struct {
	turn   atomic.Uint32
	shards [watchShards]watchShard
}

type watchShard struct {
	mu  sync.Mutex
	all map[*watch]struct{}
}

type watch struct {
	token *token.Token
	end   func()
	once  sync.Once
	shard *watchShard
}

func (w *watch) call() { w.once.Do(func() { go w.end() }) }

func (w *watches) add(one *watch) {
	one.shard = &w.shards[w.turn.Add(1)%watchShards]
	one.shard.mu.Lock()
	defer one.shard.mu.Unlock()
	if one.shard.all == nil {
		one.shard.all = make(map[*watch]struct{})
	}
	one.shard.all[one] = struct{}{}
}

func (w *watches) remove(one *watch) {
	one.shard.mu.Lock()
	defer one.shard.mu.Unlock()
	delete(one.shard.all, one)
}

// count is how many watches there are.
func (w *watches) count() int {
	sum := 0
	for i := range w.shards {
		w.shards[i].mu.Lock()
		sum += len(w.shards[i].all)
		w.shards[i].mu.Unlock()
	}
	return sum
}

// tell ends what the batch is about.
func (w *watches) tell(batch *Batch, ends func(*Batch, *token.Token) bool) {
	for i := range w.shards {
		shard := &w.shards[i]
		shard.mu.Lock()
		for one := range shard.all {
			if ends(batch, one.token) {
				one.call()
			}
		}
		shard.mu.Unlock()
	}
}
