package redis

import (
	"bytes"
	"testing"
	"time"
)

// FuzzOpen opens what Redis may answer: nothing but what was sealed opens, and only
// under its name.
func FuzzOpen(f *testing.F) {
	r, err := newRing("p:", []string{"first secret, of thirty-two bytes..", "second secret, of thirty-two bytes."})
	if err != nil {
		f.Fatal(err)
	}
	all, err := r.of(use{kindLog, "fuzz"})
	if err != nil {
		f.Fatal(err)
	}
	until := time.UnixMilli(1_900_000_000_000)
	sealed, err := sealRecord(all, "name", "id", []byte("data"), until)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("name", sealed)
	f.Add("other", sealed)
	f.Add("name", sealed[:len(sealed)-1])
	f.Add("name", []byte{sealVersion})
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		record, err := openRecord(all, name, string(text))
		// Another process sealed what it begins with: so what opens is judged by its
		// content, which nobody else can make.
		if opens := err == nil; opens && name != "name" || !opens && name == "name" && bytes.Equal(text, sealed) {
			t.Errorf("opens: %t", opens)
		} else if opens && (record.ID != "id" || string(record.Data) != "data" || !record.Until.Equal(until)) {
			t.Errorf("opened to %+v", record)
		}
		// Sealed as it is, any content comes back or is refused, and breaks nothing.
		odd, err := seal(all, name, text, until)
		if err != nil {
			t.Fatal(err)
		}
		if content, end, err := open(all, name, odd); err != nil || !bytes.Equal(content, text) || !end.Equal(until) {
			t.Errorf("%q, %s, %v", content, end, err)
		}
		if record, err := openRecord(all, name, string(odd)); err == nil && len(record.ID)+len(record.Data) >= len(text) {
			t.Errorf("%d octets became %d and %d", len(text), len(record.ID), len(record.Data))
		}
	})
}

// FuzzPage reads answers of every shape.
func FuzzPage(f *testing.F) {
	f.Add("1-2", "3-4", "r", "sealed", 2)
	f.Add("x", "-", "", "", 1)
	f.Fuzz(func(t *testing.T, last, id, field, value string, shape int) {
		entry := []any{id, []any{field, value, int64(1)}}
		for _, answer := range []any{
			nil, last,
			[]any{},
			[]any{"run", "epoch", last, []any{entry}},
			[]any{"run", nil, last, []any{entry}},
			[]any{"run", "epoch", last, []any{entry[:min(max(shape, 0), 2)], nil, value}},
			[]any{"run", "epoch", last, []any{[]any{id, value}}},
		} {
			page, ok := parsePage(answer)
			if !ok && len(page.entries) > 0 {
				t.Error("entries of an answer that is none")
			}
			for _, e := range page.entries {
				if at, ok := parsePlace(e.at.String()); !ok || at != e.at {
					t.Errorf("the place %v does not come back", e.at)
				}
			}
		}
	})
}
