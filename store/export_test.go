package store

// RewriteOften lets a store with a path write its records anew all the time.
func (m *Memory) RewriteOften() { m.disk.slack = 1 << 10 }
