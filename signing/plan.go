package signing

import (
	"slices"
	"time"
)

// A plan is what has to be written, as far as a set and a clock tell. Every node
// makes its own, first without the lock, and again under it.
type plan struct {
	// create are the purposes that need another key.
	create []Purpose
	// tidy tells that a private part has to be erased, or a key has had its time.
	tidy bool
	// reseal tells that the document is not sealed as it should be.
	reseal bool
}

func (p plan) empty() bool { return len(p.create) == 0 && !p.tidy && !p.reseal }

// plan looks at a set, nil if there is none. What a change of the configuration
// asks for is looked at once, when the ring starts: two nodes that disagree for the
// time of a rollout must not undo each other's work at every turn.
func (r *Ring) plan(s *set, now time.Time, starting, current bool) plan {
	if s == nil {
		return plan{create: Purposes()}
	}
	due := plan{reseal: starting && !current}
	for _, purpose := range Purposes() {
		newest := s.newest(purpose)
		timing := r.config.Timing
		switch {
		case newest == nil,
			starting && newest.alg != r.config.Algorithm,
			!now.Before(newest.from.Add(timing.Rotate - timing.lead())):
			due.create = append(due.create, purpose)
		}
	}
	due.tidy = slices.ContainsFunc(s.keys, func(k *key) bool { return r.over(k, now) || r.replaced(s, k, now) != nil })
	return due
}

// over tells whether a key has been published long enough.
func (r *Ring) over(k *key, now time.Time) bool { return !k.gone.IsZero() && !now.Before(k.gone) }

// replaced returns the key that signs instead of k on every node, however its clock
// goes, nil while there is none.
func (r *Ring) replaced(s *set, k *key, now time.Time) *key {
	if k.signer == nil {
		return nil
	}
	for _, other := range s.keys {
		if other.purpose == k.purpose && other.from.After(k.from) && !now.Before(other.from.Add(r.config.Timing.skew())) {
			return other
		}
	}
	return nil
}

// follow makes the set after s: with the new keys, and tidied. Keys that were
// generated in vain are not in it.
func (r *Ring) follow(s *set, due plan, fresh map[Purpose]*key, now time.Time) *set {
	kept := make([]*key, 0, len(s.keys)+len(due.create))
	for _, k := range s.keys {
		if r.over(k, now) {
			continue
		}
		if other := r.replaced(s, k, now); other != nil {
			k = k.erased(r.leaves(k, other))
		}
		kept = append(kept, k)
	}
	for _, purpose := range due.create {
		lead := r.config.Timing.lead()
		if s.newest(purpose) == nil {
			// Nobody has a key set of ours yet that could lack it, so it need not wait.
			// Nor should it on a node whose clock is behind.
			lead = -r.config.Timing.skew()
		}
		kept = append(kept, fresh[purpose].starting(now, lead))
	}
	return newSet(s.serial+1, kept)
}

// leaves is when a replaced key leaves the published set. A node that lost the
// storage before its successor came signs with it until its planned end and the
// grace, and these tokens must be good as well.
func (r *Ring) leaves(k, successor *key) time.Time {
	timing := r.config.Timing
	end := k.from.Add(timing.Rotate)
	if successor.from.After(end) {
		end = successor.from
	}
	return end.Add(timing.hold())
}
