package store

// RewriteOften lets a store with a path write its records anew all the time.
func (m *Memory) RewriteOften() { m.disk.slack = 1 << 10 }

// RewriteMarksOften does so with its marks.
func (m *Memory) RewriteMarksOften() { m.disk.marksSlack = 1 << 10 }

// NewBounded makes a store without a path whose logs hold that many records.
func NewBounded(records int) *Memory { return newMemory(MemoryConfig{Records: records}) }

// RecordBytes is how many octets a log has for each record that it may hold.
const RecordBytes = recordBytes
