package harness

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"sync"
)

// PartOfToken finds a JWT in a log, or the beginning of one of its parts. No part is
// shorter, and the random names of tokens, thousands of which are in a log, are.
var PartOfToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20,}`)

// A logBuffer keeps what several goroutines write.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer

	read   int              // how much of text was parsed
	parsed []map[string]any // the lines of JSON in it
}

// Write implements io.Writer.
func (b *logBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// lines returns the whole lines so far that are JSON, oldest first. Each is parsed
// once: tests ask again and again, and the log of a gateway that many share is long.
func (b *logBuffer) lines() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		text, _, whole := bytes.Cut(b.text.Bytes()[b.read:], []byte("\n"))
		if !whole {
			return slices.Clone(b.parsed)
		}
		b.read += len(text) + 1
		var line map[string]any
		if json.Unmarshal(text, &line) == nil {
			b.parsed = append(b.parsed, line)
		}
	}
}
