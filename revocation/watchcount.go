package revocation

// CountWatched is how many of the streams that are open here are of a token that
// matches.
func (s *State) CountWatched(match func(*Facts) bool) int {
	counted := 0
	for i := range s.watches.shards {
		shard := &s.watches.shards[i]
		shard.mu.Lock()
		for one := range shard.all {
			if facts := s.FactsOf(one.token); match(&facts) {
				counted++
			}
		}
		shard.mu.Unlock()
	}
	return counted
}
