package exchange

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// Sharing says how nodes share the tokens of an exchange. What is minted here, what is
// bound to the key of one process and what legs before the last get is not shared, nor
// is anything where the State keeps nothing.
type Sharing struct {
	// Level is where. Default: nowhere.
	Level *SecondLevel
	// Exchange tells this exchange from every other one. It is the same on all nodes that
	// are configured alike.
	Exchange []byte
	// Count is told what came of each use of the level. Default: nobody is.
	Count func(SharedOutcome)
}

// A SharedOutcome is what came of one use of a SecondLevel.
type SharedOutcome string

// The outcomes.
const (
	// SharedHit and SharedMiss tell what was found in the place of a call.
	SharedHit  SharedOutcome = "hit"
	SharedMiss SharedOutcome = "miss"
	// SharedStored is a token that other nodes can find now.
	SharedStored SharedOutcome = "stored"
	// SharedUnreadable is a value that no node of this release has written here.
	SharedUnreadable SharedOutcome = "unreadable"
	// SharedError is a store that failed, and SharedSkipped one that was not asked:
	// it had failed a moment ago, or has too much to do.
	SharedError   SharedOutcome = "error"
	SharedSkipped SharedOutcome = "skipped"
)

// SharedOutcomes are all of them.
func SharedOutcomes() []SharedOutcome {
	return []SharedOutcome{SharedHit, SharedMiss, SharedStored, SharedUnreadable, SharedError, SharedSkipped}
}

// sharing tells whether other nodes can use what this one gets.
func (x *Exchanger) sharing() bool {
	return x.config.Sharing.Level != nil && x.state.issued != nil && x.config.Local == nil && x.config.Bind.Prover == nil
}

func (x *Exchanger) countShared(outcome SharedOutcome) {
	x.state.counts.shared(outcome)
	if x.config.Sharing.Count != nil {
		x.config.Sharing.Count(outcome)
	}
}

// countFailed counts what failed. A caller who left says nothing of the store.
func (x *Exchanger) countFailed(ctx context.Context, err error) {
	switch {
	case errors.Is(err, errRests):
		x.countShared(SharedSkipped)
	case ctx.Err() == nil:
		x.countShared(SharedError)
	}
}

// place is where the caller's token lies for all nodes, zero: nowhere. Its name covers
// what the key of the memory here does, and in the place of the secret of a process
// stand that of all nodes, the exchange, and who acts on this node.
func (x *Exchanger) place(caller Caller) secondPlace {
	if !x.sharing() {
		return secondPlace{}
	}
	asked, lacking := x.asks(nil, caller)
	binding, err := x.config.Bind.name()
	if lacking != nil || err != nil {
		return secondPlace{}
	}
	message := appendField(nil, x.config.Sharing.Exchange)
	for _, leg := range x.legs {
		identity, err := leg.Actor.identity()
		if err != nil {
			return secondPlace{}
		}
		message = appendList(message, identity)
	}
	level := x.config.Sharing.Level
	mac := hmac.New(sha256.New, level.key)
	mac.Write(appendQuestion(message, &x.settings, x.digest(caller), asked, x.bound(caller.Token), binding))
	return secondPlace{level: level, name: secondName(mac.Sum(nil))}
}

// recall returns what another node got for this caller and keeps it here, nil if there
// is nothing that serves longer than until the instant. Whose token was revoked gets
// nothing of it: whoever waits for this is held against the list once more, and nothing
// is kept for one who is on it. That is why a value names no caller: its name is made
// of the very token that was just verified.
func (x *Exchanger) recall(ctx context.Context, key cacheKey, caller Caller, longer time.Time) *Issued {
	place := x.place(caller)
	if place.level == nil {
		return nil
	}
	generation := x.state.begin()
	data, found, err := place.level.get(ctx, place.name)
	if err != nil {
		x.countFailed(ctx, err)
		return nil
	}
	if !found {
		x.countShared(SharedMiss)
		return nil
	}
	value, err := decodeSecond(place.name, data)
	if err != nil {
		x.countShared(SharedUnreadable)
		return nil
	}
	now := x.config.Now()
	life := value.life(now.Add(x.config.MaxTTL), x.end(caller))
	if !now.Before(life.freshUntil) || !life.keepUntil.After(longer) {
		x.countShared(SharedMiss)
		return nil
	}
	x.countShared(SharedHit)
	issued := value.issued(x.config.Scheme)
	x.keepAt(ctx, key, x.entry(place, issued, life, caller), generation)
	return issued
}

// end is when the caller's own token ends, zero where that bounds nothing.
func (x *Exchanger) end(caller Caller) time.Time {
	if x.forAll() {
		return time.Time{}
	}
	return caller.Token.Expiry
}

// give puts a token where other nodes find it. If something was evicted since the call
// for it began it is taken away again: whoever evicts deletes what lies there already,
// and cannot know of what comes after.
func (x *Exchanger) give(place secondPlace, issued *Issued, life lifetime, generation uint64) {
	if place.level == nil {
		return
	}
	value := secondOf(issued, life).encode(place.name)
	if len(value) > store.MaxValue || len(issued.Scope) > maxSecondScopes {
		return
	}
	if !place.level.behind(func() { x.put(place, value, life.keepUntil, generation) }) {
		x.countShared(SharedSkipped)
	}
}

func (x *Exchanger) put(place secondPlace, value []byte, until time.Time, generation uint64) {
	ctx := context.Background()
	if x.state.begin() != generation {
		return
	}
	if err := place.level.put(ctx, place.name, value, until); err != nil {
		x.countFailed(ctx, err)
		return
	}
	x.countShared(SharedStored)
	if x.state.begin() != generation {
		_ = place.level.delete(ctx, place.name, writePatience)
	}
}

// withdraw deletes what other nodes would find.
func (x *Exchanger) withdraw(ctx context.Context, caller Caller) {
	if place := x.place(caller); place.level != nil {
		if err := place.level.delete(ctx, place.name, readPatience); err != nil {
			x.countFailed(ctx, err)
		}
	}
}
