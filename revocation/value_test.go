package revocation

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// What an issuer may call a subject can be revoked, whatever it is, and nothing else
// is revoked with it.
func TestAnyNameIsRevocable(t *testing.T) {
	long := strings.Repeat("s", maxName+1)
	names := []string{
		"alice", strings.Repeat("s", maxName), long, long + "s", "a\nb", "a\x00b", "a\u0085b", "a\u00e9\u00a0b", "\x7f",
		ValueOf(long), ValueOf(ValueOf(long)), digested, strings.Repeat(`"<\&`, maxName/4), strings.Repeat("\x01", 16<<10),
	}
	for i, name := range names {
		event := Event{Kind: KindSubject, Issuer: idpURL, Value: ValueOf(name), Until: nextHour, Reason: strings.Repeat("r", 256), By: "admin"}
		event.complete(time.Now())
		if err := event.Check(); err != nil {
			t.Fatalf("name %d: %v", i, err)
		}
		data, err := event.encode()
		if err != nil {
			t.Fatalf("name %d: %v", i, err)
		}
		read, err := decode(data, time.Now())
		if err != nil {
			t.Fatalf("name %d: %v", i, err)
		}
		batch := NewBatch(read)
		for j, other := range names {
			facts := Facts{Issuer: idpURL, Subject: other, Sub: other}
			derived := Facts{Issuer: ownURL, Tags: TagsOf(&facts)}
			if same := i == j; batch.Matches(&facts) != same || batch.Matches(&derived) != same {
				t.Errorf("name %d for %d: %v, and what was derived %v", i, j, batch.Matches(&facts), batch.Matches(&derived))
			}
		}
	}
}

// Each kind of name is digested alike.
func TestAnyKindOfNameIsRevocable(t *testing.T) {
	name := strings.Repeat("n", 4*maxName)
	facts := Facts{Issuer: idpURL, ID: name, Subject: name, Session: name, Client: name, KeyID: name}
	for _, kind := range []Kind{KindID, KindSubject, KindSession, KindClient, KindKey} {
		batch := NewBatch(&Event{ID: "e", Kind: kind, Issuer: idpURL, Value: ValueOf(name), Until: nextHour})
		if !batch.Matches(&facts) || !batch.Matches(&Facts{Issuer: ownURL, Tags: TagsOf(&facts)}) {
			t.Errorf("%s: it is not found", kind)
		}
	}
}

func FuzzValueOf(f *testing.F) {
	for _, text := range []string{"alice", "a\nb", "\u0085", "\u00a0", digested + "x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value := ValueOf(text)
		if len(value) > maxName {
			t.Errorf("a value of %d octets", len(value))
		}
		if !utf8.ValidString(text) {
			return
		}
		if strings.ContainsFunc(value, unicode.IsControl) {
			t.Errorf("%q has a control character", value)
		}
		if plain := value == text; plain && strings.HasPrefix(text, digested) && text != digested {
			t.Errorf("%q stands for itself", text)
		}
		if other := fmt.Sprint(text, "x"); ValueOf(other) == value {
			t.Errorf("%q and %q have one value", text, other)
		}
	})
}

// A control character is one wherever it stands, though eight octets are looked at once.
func TestControlCharactersAnywhere(t *testing.T) {
	for before := range 20 {
		for after := range 20 {
			for _, r := range []rune{0, 0x1f, ' ', '~', 0x7f, 0x80, 0x85, 0x9f, 0xa0, 'Â', 'é', 'ÿ', '€'} {
				text := strings.Repeat("s", before) + string(r) + strings.Repeat("é", after/2) + strings.Repeat("s", after%2)
				if isPlain(text) == unicode.IsControl(r) {
					t.Errorf("%q is plain: %v", text, isPlain(text))
				}
			}
		}
	}
}
