package store

import "slices"

// take hands out marks that were not written down yet, so many at most.
func (l *ledger) take(most int) []stamped {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.fresh) <= most {
		taken := l.fresh
		l.fresh = make([]stamped, 0, len(taken)) // as many are likely to come
		return taken
	}
	taken := l.fresh[:most:most]
	l.fresh = l.fresh[most:]
	return taken
}

// giveBack lets marks that could not be written down wait once more. Those that have
// expired need not be, so there never are more than live ones.
func (l *ledger) giveBack(marks []stamped, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	expired := func(mark stamped) bool { return now >= mark.until }
	l.fresh = slices.DeleteFunc(append(marks, l.fresh...), expired)
}

// restore puts back a mark that was written down, maybe twice.
func (l *ledger) restore(mark stamped) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.expires[mark.id] < mark.until {
		l.insert(mark.id, mark.until)
	}
}

// live lists the buckets that hold marks which may be live.
func (l *ledger) live(now int64) []int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.seconds), func(second int64) bool { return second <= now/1000 })
}

// bucket copies a bucket: each of its marks has expired when its second begins.
func (l *ledger) bucket(second int64) []stamped {
	l.mu.Lock()
	ids := slices.Clone(l.buckets[second])
	l.mu.Unlock()
	marks := make([]stamped, len(ids))
	for i, id := range ids {
		marks[i] = stamped{id: id, until: second * 1000}
	}
	return marks
}
