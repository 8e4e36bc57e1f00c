package revocation

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const issuer = "https://idp.example.com"

// now has no fraction: dates are compared as they come out of JSON.
func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

func subject(value string) Event {
	return Event{Kind: KindSubject, Issuer: issuer, Value: value, Until: now().Add(time.Hour)}
}

func TestCheck(t *testing.T) {
	digest := DigestValue(token.Digest{1})
	tests := map[string]struct {
		change func(e *Event)
		want   string // part of the error, "" for none
	}{
		"good":              {func(*Event) {}, ""},
		"an issuer":         {func(e *Event) { e.Kind, e.Value = KindIssuer, "" }, ""},
		"a digest":          {func(e *Event) { e.Kind, e.Value = KindToken, digest }, ""},
		"no kind":           {func(e *Event) { e.Kind = "" }, "unknown kind"},
		"another kind":      {func(e *Event) { e.Kind = "user" }, "unknown kind"},
		"no issuer":         {func(e *Event) { e.Issuer = "" }, "the issuer is missing"},
		"no value":          {func(e *Event) { e.Value = "" }, "what to revoke is missing: a subject"},
		"issuer with value": {func(e *Event) { e.Kind = KindIssuer }, "no value of its own"},
		"a token's text":    {func(e *Event) { e.Kind = KindToken }, "SHA-256"},
		"a digest cut":      {func(e *Event) { e.Kind, e.Value = KindToken, digest[1:] }, "SHA-256"},
		"a digest and more": {func(e *Event) { e.Kind, e.Value = KindToken, digest+"=" }, "SHA-256"},
		"no end":            {func(e *Event) { e.Until = time.Time{} }, "its end is missing"},
		"a long text":       {func(e *Event) { e.Reason = strings.Repeat("a", 1025) }, "at most 1024"},
		"no UTF-8":          {func(e *Event) { e.Value = "\xff" }, "not UTF-8"},
		"ended":             {func(e *Event) { e.Until = time.Now().Add(-time.Second) }, "its end has passed"},
		"endless":           {func(e *Event) { e.Until = time.Now().Add(MaxLife + time.Hour) }, "more than 400 days"},
		"of tomorrow":       {func(e *Event) { e.Before = time.Now().Add(24 * time.Hour) }, "in the future"},
		"of 1969":           {func(e *Event) { e.Before = time.Unix(-1, 0) }, "before 1970"},
		"of 1500":           {func(e *Event) { e.Before = time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC) }, "before 1970"},
		"of 1970":           {func(e *Event) { e.Before = time.Unix(0, 0) }, ""},
		"texts too long in all": {func(e *Event) {
			text := strings.Repeat("a", 1024)
			e.Issuer, e.Value, e.Reason, e.By = text, text, text, text
		}, "octets in all"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			event := subject("alice")
			test.change(&event)
			state := NewState(store.NewMemory(0))
			_, err := state.Revoke(t.Context(), event)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want one that says %q", err, test.want)
			case (state.list.Len() == 1) != (test.want == ""):
				t.Errorf("%d events are on the list", state.list.Len())
			}
		})
	}
}

func TestEventsComeBackFromLogAndList(t *testing.T) {
	full := Event{
		ID: "one", Kind: KindClient, Issuer: issuer, Value: "app", Before: now().Add(-time.Minute), Until: now().Add(time.Hour),
		At: now(), Reason: "leaked", By: "admin",
	}
	short := Event{ID: "2", Kind: KindIssuer, Issuer: issuer, Until: now().Add(time.Hour), At: now()}
	digest := Event{ID: "3", Kind: KindToken, Issuer: issuer, Value: DigestValue(token.Digest{1, 2}), Until: now().Add(time.Hour), At: now()}
	for _, event := range []Event{full, short, digest} {
		data, err := event.encode()
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := decode(data, now())
		if diff := cmp.Diff(&event, decoded); diff != "" || err != nil {
			t.Errorf("from the log: %v\n%s", err, diff)
		}
		list := NewList()
		if _, err := list.add(hold(&event), 0); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]Event{event}, list.Events()); diff != "" {
			t.Errorf("from the list:\n%s", diff)
		}
	}
}

// An end beyond all measure comes from a node with other bounds, or another clock.
// The event counts all the same.
func TestEndlessEventIsCut(t *testing.T) {
	for _, until := range []string{"2500-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
		event, err := decode([]byte(`{"id":"1","kind":"subject","iss":"i","val":"v","until":"`+until+`"}`), now())
		if err != nil || !event.Until.Equal(now().Add(MaxLife)) {
			t.Errorf("%s: %+v, %v", until, event, err)
		}
	}
}

// FuzzEvent reads whatever a store may give back.
func FuzzEvent(f *testing.F) {
	for _, event := range []Event{subject("alice"), {Kind: KindIssuer, Issuer: issuer, Until: time.Now()}} {
		event.complete(time.Now())
		data, err := event.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"id":"1","kind":"token","iss":"i","val":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","until":"9999-12-31T23:59:59Z","before":"0001-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"id":"1","kind":"issuer","iss":"i","until":"9999-12-31T23:59:59Z","before":"1500-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"id":"1","kind":"issuer","iss":"i","until":"1500-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"id":"` + "\x00" + `"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		at := time.Now()
		event, err := decode(data, at)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		if event.ID == "" || event.Until.After(at.Add(MaxLife)) {
			t.Errorf("taken: %+v", event)
		}
		var written map[string]any
		if json.Unmarshal(data, &written) == nil && written["before"] != nil && event.Before.IsZero() {
			t.Errorf("a date became all of time: %s", data)
		}
		named := Facts{Issuer: event.Issuer, Subject: event.Value, ID: event.Value, Client: event.Value, KeyID: event.Value, Session: event.Value, IssuedAt: at}
		if !event.Before.IsZero() && event.Before.Before(at) && NewBatch(event).Matches(&named) {
			t.Errorf("it is about what was issued after %s: %s", event.Before, data)
		}
		if !event.Until.After(at) && NewBatch(event).Matches(&named) {
			t.Errorf("it ended at %s: %s", event.Until, data)
		}
		list := NewList()
		if _, err := list.add(hold(event), 0); err != nil {
			t.Fatal(err)
		}
		facts := Facts{Issuer: event.Issuer}
		switch event.Kind {
		case KindToken:
			facts.Essence = token.Digest(digestIn(event.Value))
		case KindID:
			facts.ID = event.Value
		case KindSubject:
			facts.Subject = event.Value
		case KindSession:
			facts.Session = event.Value
		case KindClient:
			facts.Client = event.Value
		case KindKey:
			facts.KeyID = event.Value
		case KindIssuer:
		}
		if alive := at.Before(event.Until); (list.Find(&facts, at) != nil) != alive {
			t.Errorf("%+v: alive %v", event, alive)
		}
		back := list.Events()[0]
		if back.ID != event.ID || back.Value != event.Value || back.Issuer != event.Issuer || back.Reason != event.Reason || back.By != event.By {
			t.Errorf("%+v became %+v", event, back)
		}
		if _, err := json.Marshal(back); err != nil {
			t.Error(err)
		}
	})
}
