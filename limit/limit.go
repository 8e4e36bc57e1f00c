package limit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// Purpose is what limits count under in a store.
const Purpose store.Purpose = "limit"

// A Rule is one limit as an operator wrote it. Rules that are the same in every part
// count together, wherever they are written.
type Rule struct {
	// Key is the text of the key, its placeholders as they are.
	Key string
	// Path and Value are the claim that the rule is for, both empty for everybody.
	Path, Value string
	// Rate is what is allowed for each key.
	Rate store.Rate
}

// ID names the rule: whatever counts for it counts for no other. It is the same on all
// nodes, and says nothing of what it is made of.
func (r Rule) ID() string {
	sum := sha256.New()
	for _, part := range []string{r.Key, r.Path, r.Value, strconv.Itoa(r.Rate.Events), r.Rate.Window.String()} {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		sum.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:18]) //nolint:mnd // 144 bits, without padding
}

// A Limit says of each request whether it is one too many for its key.
type Limit struct {
	id     string
	rate   store.Rate
	local  *Local
	shared *Shared
}

// New makes a limit. local is what the rule counted in this process before; shared is
// what all nodes count together, nil for none.
func New(rule Rule, local *Local, shared *Shared) *Limit {
	return &Limit{id: rule.ID(), rate: rule.Rate, local: local, shared: shared}
}

// Rate is what is allowed for each key.
func (l *Limit) Rate() store.Rate { return l.rate }

// Take counts one request. It always has an answer: what the store cannot say this
// process does.
func (l *Limit) Take(ctx context.Context, key string) store.Taken {
	named := l.id + key
	taken, known := l.shared.take(ctx, named, l.rate)
	if !known {
		taken = l.local.take(Purpose, named, l.rate)
	}
	if taken.Allowed {
		l.local.allowed.Add(1)
	} else {
		l.local.refused.Add(1)
	}
	return taken
}

// Stats are what a limit has said in this process, and how it counts.
type Stats struct {
	// Allowed and Refused count requests.
	Allowed, Refused uint64
	// Keys is how many keys this process remembers. Those that a store counts are in it
	// only.
	Keys int
	// Shared tells that a store counts for all nodes, Alone that it does not answer at
	// the moment, so that this process counts for itself.
	Shared, Alone bool
}

// Stats tells what the limit has said.
func (l *Limit) Stats() Stats {
	return Stats{
		Allowed: l.local.allowed.Load(), Refused: l.local.refused.Load(), Keys: l.local.Len(),
		Shared: l.shared != nil, Alone: l.shared != nil && l.shared.lost.Load(),
	}
}
