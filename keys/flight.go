package keys

// A flight is one fetch of the key set, shared by everyone who wants a newer set
// than they saw. It has its own deadline: that the one who began it leaves does
// not end it for others.
type flight struct {
	landed chan struct{} // closed once err is final
	err    error
}

// landedAlready is for those whose newer set came while they asked for it.
var landedAlready = func() *flight {
	done := &flight{landed: make(chan struct{})}
	close(done.landed)
	return done
}()

// board joins the fetch that is under way, or begins one if it may. began tells
// which; both are nothing if it may not. Looking, being allowed and beginning are
// one step: of a hundred requests that meet a new key at once, one asks for leave
// and the others wait with it.
func (s *State) board(seen *Snapshot, may func() bool, fetch func() error) (joined *flight, began bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.snapshot.Load() != seen:
		return landedAlready, false
	case s.underWay != nil:
		return s.underWay, false
	case !may():
		return nil, false
	}
	started := &flight{landed: make(chan struct{})}
	s.underWay = started
	go func() {
		defer s.land(started)
		started.err = fetch()
	}()
	return started, true
}

func (s *State) land(done *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.underWay = nil
	close(done.landed)
}
