package redis

import "time"

// WaitFor lets a call of a reader that waits take that long, in place of defaultSlice.
func (s *Store) WaitFor(slice time.Duration) { s.slice = slice }
