package exchange

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Operators hear once that an exchange is misconfigured, again only after it worked,
// and never more than once a minute.
func TestEnds(t *testing.T) {
	var ends ends
	now := time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	note := func(after time.Duration, failure *Error) bool {
		now = now.Add(after)
		return ends.note(failure, now)
	}
	config := &Error{Outcome: OutcomeConfig, ASCode: "invalid_client", Leg: 2}
	got := []bool{
		note(0, config), note(time.Second, config), // once
		note(time.Second, nil), note(time.Second, config), // again too soon
		note(time.Second, nil), note(time.Minute, config),
		note(time.Second, &Error{Outcome: OutcomeTimeout}), note(time.Minute, config), // says nothing of it
	}
	if diff := cmp.Diff([]bool{true, false, false, false, false, true, false, false}, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	want := Summary{
		Succeeded: now.Add(-121 * time.Second), Outcome: OutcomeConfig, Ended: now, Code: "invalid_client", Leg: 2, Misconfigured: true, Issued: 2, Failed: 6,
	}
	if diff := cmp.Diff(want, ends.read()); diff != "" {
		t.Errorf("remembered (-want +got):\n%s", diff)
	}
	note(time.Second, &Error{Outcome: OutcomeCanceled}) // whoever left says nothing
	if diff := cmp.Diff(want, ends.read()); diff != "" {
		t.Errorf("after one who left (-want +got):\n%s", diff)
	}
	note(time.Second, nil)
	if after := ends.read(); after.Misconfigured || after.Outcome != OutcomeOK || after.Code != "" || after.Leg != 0 {
		t.Errorf("after success: %+v", after)
	}
}
