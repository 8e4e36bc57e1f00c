package store

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// rewriter is a restorer that writes down what it is given.
type rewriter struct{ changes []byte }

func (r *rewriter) restoreLife(life string) error {
	r.changes = appendLife(r.changes, life)
	return nil
}

func (r *rewriter) restoreNumber(log Purpose, number uint64) error {
	r.changes = appendNumber(r.changes, log, number)
	return nil
}

func (r *rewriter) restoreRecord(log Purpose, number uint64, until int64, id, data string) error {
	r.changes = appendRecord(r.changes, log, &entry{number: number, until: until, text: id + data, idLength: len(id)})
	return nil
}

func (r *rewriter) restoreValue(purpose Purpose, name key, until int64, value []byte) error {
	r.changes = appendValue(r.changes, purpose, name, until, value)
	return nil
}

func (r *rewriter) restoreDelete(purpose Purpose, name key) error {
	r.changes = appendDelete(r.changes, purpose, name)
	return nil
}

func (r *rewriter) restoreMarks(purpose Purpose, marks []stamped) error {
	r.changes = appendMarks(r.changes, purpose, marks)
	return nil
}

// allKinds is a change of each kind.
func allKinds() []byte {
	far := int64(1) << 60
	to := appendLife(nil, "life")
	to = appendRecord(to, "log", &entry{number: 7, until: far, text: "iddata", idLength: 2})
	to = appendRecord(to, "log", &entry{number: 8, until: -1})
	to = appendNumber(to, "log", 1<<40)
	to = appendValue(to, "purpose", key{1, 2}, far, []byte("value"))
	to = appendDelete(to, "purpose", key{3})
	return appendMarks(to, "purpose", []stamped{{id: hash{1}, until: far}, {id: hash{2}, until: 0}})
}

func TestChangesComeBack(t *testing.T) {
	var again rewriter
	if err := restoreAll(allKinds(), &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(allKinds(), again.changes); diff != "" {
		t.Error(diff)
	}
	for i := 1; i < len(allKinds()); i++ {
		if err := restoreAll(allKinds()[:i], &rewriter{}); err == nil {
			// Between two changes is no cut.
			var front rewriter
			_ = restoreAll(allKinds()[:i], &front)
			if len(front.changes) != i {
				t.Errorf("%d octets were read as %d", i, len(front.changes))
			}
		}
	}
}

// Marks that are written anew live as long as they must, and a second longer at most.
func TestMarksWrittenAnewLiveAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const marks = 50
		start := time.Now()
		until := func(i int) time.Time { return start.Add(time.Duration(i+1) * 137 * time.Millisecond) }
		before, after := NewMemory(0), NewMemory(0)
		for i := range marks {
			if fresh, err := before.Mark(t.Context(), "test", fmt.Sprint(i), until(i)); !fresh || err != nil {
				t.Fatal(fresh, err)
			}
		}
		into := restoring{m: after, now: start.UnixMilli()}
		if err := before.emitMarks(func(changes []byte) error { return restoreAll(changes, into) }); err != nil {
			t.Fatal(err)
		}
		for i := range marks {
			<-time.After(time.Until(until(i).Add(-time.Millisecond)))
			if fresh, err := after.Mark(t.Context(), "test", fmt.Sprint(i), until(i)); fresh || err != nil {
				t.Errorf("mark %d before its end: %t, %v", i, fresh, err)
			}
		}
		<-time.After(time.Second)
		for i := range marks {
			if fresh, err := after.Mark(t.Context(), "test", fmt.Sprint(i), time.Now().Add(time.Hour)); !fresh || err != nil {
				t.Errorf("mark %d after its end: %t, %v", i, fresh, err)
			}
		}
	})
}

// A commit whose second half failed may have left a head that says too much. It is
// taken back before anything is written over what it speaks of.
func TestFileTakesBackWhatItStated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := createFile(path, func(commit func([]byte) error) error { return commit(allKinds()) })
	if err != nil {
		t.Fatal(err)
	}
	f.doubtful = true
	more := allKinds()
	if err := errors.Join(f.state(f.size+1000), f.commit(more), f.close()); err != nil {
		t.Fatal(err)
	}
	if f.counter != 2+1+2 { // made, wrongly stated, taken back and stated anew
		t.Errorf("%d statements, want 5", f.counter)
	}
	frames := 0
	again, err := openFile(path, func([]byte) error { frames++; return nil })
	if err != nil || frames != 2 || again.doubtful {
		t.Fatalf("%d frames, %v; want 2", frames, err)
	}
	if err := again.close(); err != nil {
		t.Error(err)
	}
}

// FuzzChanges reads any octets as changes, and puts them into a store: without a
// panic, and so that what is written down again is the same.
func FuzzChanges(f *testing.F) {
	f.Add(allKinds())
	f.Add([]byte{kindMarks, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{kindRecord, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, changes []byte) {
		if len(changes) > 1<<16 {
			return
		}
		var first, second rewriter
		if err := restoreAll(changes, &first); err == nil {
			if err := restoreAll(first.changes, &second); err != nil || !bytes.Equal(first.changes, second.changes) {
				t.Errorf("read again: %v, %x; want %x", err, second.changes, first.changes)
			}
		}
		m := NewMemory(0)
		_ = restoreAll(changes, restoring{m: m})
		for log := range m.allJournals() {
			if _, _, err := m.Read(t.Context(), log, "", 10, 0); err != nil {
				t.Errorf("reading %q: %v", log, err)
			}
		}
	})
}

// FuzzFile opens files with any two statements in the head, and any octets behind it.
func FuzzFile(f *testing.F) {
	body := frameOf(frameOf(nil, allKinds()), allKinds()[:6])
	size := int64(headSize + len(body))
	f.Add(statement{1, size}.slot(), statement{2, size}.slot(), body)
	f.Add(statement{1, headSize}.slot(), []byte{}, body)
	f.Add(statement{1, 1 << 62}.slot(), statement{2, -1}.slot(), body)
	f.Fuzz(func(t *testing.T, one, two, body []byte) {
		content := append([]byte(magic), make([]byte, headSize-len(magic))...)
		copy(content[slots[0]:][:slotSize], one)
		copy(content[slots[1]:][:slotSize], two)
		content = append(content, body...)
		from, length, handed := &file{}, int64(len(content)), int64(headSize)
		err := from.readAll(bytes.NewReader(content), length, func(changes []byte) error {
			handed += frameHead + int64(len(changes))
			return restoreAll(changes, &rewriter{})
		})
		if err == nil && (from.size > length || from.size != handed) {
			t.Errorf("%d octets, of which %d count and %d were read", length, from.size, handed)
		}
	})
}
