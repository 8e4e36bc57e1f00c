package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What a file of Memory holds is a list of changes. Each begins with its kind.
const (
	kindNothing = '-' // tries whether the disk takes anything
	kindLife    = 'l' // the life of the logs
	kindNumber  = 'n' // the number of a log's newest record, which may have ended
	kindRecord  = 'r'
	kindValue   = 'v'
	kindDelete  = 'd'
	kindMarks   = 'm'
)

// errChange says that a change cannot be read. What it was stays unsaid: nobody can
// mend a file with an editor.
var errChange = errors.New("a change in it makes no sense")

// stamped is a mark with its end.
type stamped struct {
	id    hash
	until int64 // milliseconds since 1970
}

const stampedSize = len(hash{}) + 8

// A restorer takes the changes of a file in their order.
type restorer interface {
	restoreLife(life string) error
	restoreNumber(log Purpose, number uint64) error
	restoreRecord(log Purpose, number uint64, until int64, id, data string) error
	restoreValue(purpose Purpose, name key, until int64, value []byte) error
	restoreDelete(purpose Purpose, name key) error
	restoreMarks(purpose Purpose, marks []stamped) error
}

func appendNothing(to []byte) []byte { return appendText(append(to, kindNothing), "") }

func appendLife(to []byte, life string) []byte { return appendText(append(to, kindLife), life) }

func appendNumber(to []byte, log Purpose, number uint64) []byte {
	return binary.AppendUvarint(appendText(append(to, kindNumber), string(log)), number)
}

func appendRecord(to []byte, log Purpose, e *entry) []byte {
	to = binary.AppendUvarint(appendText(append(to, kindRecord), string(log)), e.number)
	return appendText(appendText(binary.AppendVarint(to, e.until), e.id()), e.data())
}

func appendValue(to []byte, purpose Purpose, name key, until int64, value []byte) []byte {
	to = append(appendText(append(to, kindValue), string(purpose)), name[:]...)
	return appendText(binary.AppendVarint(to, until), string(value))
}

func appendDelete(to []byte, purpose Purpose, name key) []byte {
	return append(appendText(append(to, kindDelete), string(purpose)), name[:]...)
}

func appendMarks(to []byte, purpose Purpose, marks []stamped) []byte {
	to = binary.AppendUvarint(appendText(append(to, kindMarks), string(purpose)), uint64(len(marks)))
	for i := range marks {
		to = binary.AppendVarint(append(to, marks[i].id[:]...), marks[i].until)
	}
	return to
}

func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

// restoreAll reads changes until there are no more. It allocates no more than a small
// multiple of what it is given.
func restoreAll(changes []byte, into restorer) error {
	r := reader{rest: changes}
	for len(r.rest) > 0 {
		if err := r.change(into); err != nil {
			return err
		}
	}
	return nil
}

// A reader takes fields from the front. After the first that is not there every one is
// empty, and failed is set.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) change(into restorer) error {
	kind := r.take(1)
	text := string(r.take(r.length()))
	purpose := Purpose(text)
	switch kind[0] {
	case kindNothing:
		return r.then(func() error { return nil })
	case kindLife:
		return r.then(func() error { return into.restoreLife(text) })
	case kindNumber:
		number := r.unsigned()
		return r.then(func() error { return into.restoreNumber(purpose, number) })
	case kindRecord:
		number, until, id, data := r.unsigned(), r.signed(), r.take(r.length()), r.take(r.length())
		return r.then(func() error { return into.restoreRecord(purpose, number, until, string(id), string(data)) })
	case kindValue:
		name, until, value := r.key(), r.signed(), r.take(r.length())
		return r.then(func() error { return into.restoreValue(purpose, name, until, value) })
	case kindDelete:
		name := r.key()
		return r.then(func() error { return into.restoreDelete(purpose, name) })
	case kindMarks:
		marks := r.marks()
		return r.then(func() error { return into.restoreMarks(purpose, marks) })
	}
	return fmt.Errorf("%w: it is of no known kind", errChange)
}

func (r *reader) then(restore func() error) error {
	if r.failed {
		return fmt.Errorf("%w: it is cut off", errChange)
	}
	return restore()
}

func (r *reader) take(length int) []byte {
	if r.failed || length > len(r.rest) {
		r.failed = true
		return nil
	}
	taken := r.rest[:length:length]
	r.rest = r.rest[length:]
	return taken
}

// length is that of a text, which never is more than what is left.
func (r *reader) length() int {
	length := r.unsigned()
	if length > uint64(len(r.rest)) {
		r.failed = true
		return 0
	}
	return int(length) //nolint:gosec // no more than what is left
}

func (r *reader) unsigned() uint64 {
	number, width := binary.Uvarint(r.rest)
	if r.failed || width <= 0 {
		r.failed = true
		return 0
	}
	r.rest = r.rest[width:]
	return number
}

func (r *reader) signed() int64 {
	number, width := binary.Varint(r.rest)
	if r.failed || width <= 0 {
		r.failed = true
		return 0
	}
	r.rest = r.rest[width:]
	return number
}

func (r *reader) key() (name key) {
	copy(name[:], r.take(len(name)))
	return name
}

func (r *reader) marks() []stamped {
	count := r.length() // each takes more than an octet
	marks := make([]stamped, 0, min(count, len(r.rest)/len(hash{})))
	for range count {
		var mark stamped
		copy(mark.id[:], r.take(len(mark.id)))
		if mark.until = r.signed(); r.failed {
			return nil
		}
		marks = append(marks, mark)
	}
	return marks
}
