package exchange

import (
	"crypto/sha256"
	"sync"
	"time"

	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	// successHolds is how long one success vouches for the configuration.
	successHolds = 10 * time.Minute
	// refusalWindow and refusedSubjects: so many different subjects refused in
	// so short a time, and none served, means that something changed at the
	// server and not in them.
	refusalWindow   = 30 * time.Second
	refusedSubjects = 3
	// maxRecords bounds the memory. There is one record for each configured
	// target; only reloads that change it make more.
	maxRecords = 256
)

// A subject names whose token was refused, whichever token it was: a user who
// logs in again and again is one subject.
type subject [sha256.Size]byte

func subjectOf(t *token.Token) subject {
	if t.Subject == "" {
		return subject(t.Digest)
	}
	return sha256.Sum256(appendList(nil, []string{t.Issuer, t.Subject}))
}

// A memory remembers what worked. `invalid_request` may mean a bad subject or a
// bad request (RFC 8693, section 2.2.2), which is to say the caller's fault or
// the operator's. What tells them apart without reading any vendor's texts is
// whether the very same request has worked for others a moment ago.
//
// The zero value is ready to use.
type memory struct {
	mu      sync.Mutex
	records map[fingerprint]*record
}

type record struct {
	touched time.Time
	success time.Time // zero: none, or void
	refused map[subject]time.Time
}

// succeeded notes that the server issued a token for that target.
func (m *memory) succeeded(target fingerprint, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	record := m.record(target, now)
	record.success = now
	clear(record.refused)
}

// works tells whether the server has lately issued a token for that target.
func (m *memory) works(target fingerprint, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := m.records[target]
	return known != nil && !known.success.IsZero() && now.Sub(known.success) <= successHolds
}

// refused notes that the server refused a subject and tells whether that speaks
// about the subject: true if the configuration is known to work.
func (m *memory) refused(target fingerprint, who subject, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	record := m.record(target, now)
	for other, when := range record.refused {
		if now.Sub(when) > refusalWindow {
			delete(record.refused, other)
		}
	}
	if record.success.IsZero() || now.Sub(record.success) > successHolds {
		return false
	}
	record.refused[who] = now
	if len(record.refused) >= refusedSubjects {
		record.success = time.Time{}
		clear(record.refused)
		return false
	}
	return true
}

func (m *memory) record(target fingerprint, now time.Time) *record {
	known := m.records[target]
	if known == nil {
		m.makeRoom()
		known = &record{refused: make(map[subject]time.Time)}
		m.records[target] = known
	}
	known.touched = now
	return known
}

func (m *memory) makeRoom() {
	if m.records == nil {
		m.records = make(map[fingerprint]*record)
	}
	if len(m.records) < maxRecords {
		return
	}
	var oldest fingerprint
	var when time.Time
	for target, record := range m.records {
		if when.IsZero() || record.touched.Before(when) {
			oldest, when = target, record.touched
		}
	}
	delete(m.records, oldest)
}
