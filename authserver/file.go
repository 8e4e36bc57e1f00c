package authserver

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

const (
	// fileLook is how often a file is looked at while it is in use.
	fileLook = 2 * time.Second
	// maxFileBytes bounds a key, a certificate, a secret or an assertion.
	maxFileBytes = 1 << 20
)

// A watched file is read again when it has changed, so that keys and secrets
// rotate without a reload. A change that cannot be read is logged once, and what
// was read before serves on: a file may be seen half written.
type watched[T any] struct {
	path  string
	parse func([]byte) (T, error)
	log   *slog.Logger

	mu     sync.Mutex
	value  T
	seen   os.FileInfo // of the last look, good or not
	looked time.Time
}

// watch reads the file for the first time. log is told of later trouble.
func watch[T any](path string, log *slog.Logger, parse func([]byte) (T, error)) (*watched[T], error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	file := &watched[T]{path: path, parse: parse, log: log}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	file.seen, file.looked = info, time.Now()
	if file.value, err = file.read(); err != nil {
		return nil, err
	}
	return file, nil
}

// get returns what the file says now, or said when it was last readable.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.looked) >= fileLook {
		w.look()
	}
	return w.value
}

// reread looks at the file at once.
func (w *watched[T]) reread() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look()
}

func (w *watched[T]) look() {
	w.looked = time.Now()
	info, err := os.Stat(w.path)
	if err != nil {
		if w.seen != nil {
			w.log.Warn("reading a file again failed; what it said before serves on", "file", w.path, "error", err)
		}
		w.seen = nil
		return
	}
	// A rename over the file changes which file it is, even within one tick of
	// the clock that stamps it.
	if w.seen != nil && os.SameFile(w.seen, info) && w.seen.ModTime().Equal(info.ModTime()) && w.seen.Size() == info.Size() {
		return
	}
	w.seen = info
	value, err := w.read()
	if err != nil {
		w.log.Warn("reading a file again failed; what it said before serves on", "file", w.path, "error", err)
		return
	}
	w.value = value
}

// read never quotes what is in the file.
func (w *watched[T]) read() (value T, err error) {
	file, err := os.Open(w.path)
	if err != nil {
		return value, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return value, err
	case len(content) > maxFileBytes:
		return value, errors.New("the file is larger than 1 MiB")
	}
	if value, err = w.parse(content); err != nil {
		return value, fmt.Errorf("%s: %w", w.path, err)
	}
	return value, nil
}
