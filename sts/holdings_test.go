package sts_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/sts"
)

// other is a second client that gets references.
const other = "phantom-2"

func newHoldingRig(t *testing.T, entries, bytes int) *rig {
	t.Helper()
	return newRig(t, func(r *rig) {
		r.settings.Holdings = sts.NewHoldings(entries, bytes)
		for _, client := range r.settings.Clients {
			if client.ID == "phantom" {
				twin := *client
				twin.ID, twin.Lifetime = other, time.Minute
				r.settings.Clients = append(r.settings.Clients, &twin)
				return
			}
		}
	})
}

// fill asks until the client is refused, and returns how many references it got.
func (r *rig) fill(client string, more params) int {
	r.t.Helper()
	form := clientForm(params{"client_id": client})
	maps.Copy(form, more)
	for n := range 1000 {
		_, _, refused := r.service.Token(r.request(form.body()))
		if refused == nil {
			continue
		}
		if refused.Outcome != sts.OutcomeTooMany || refused.RetryAfter() <= 0 || !strings.Contains(refused.Error(), "as many references as are still free") {
			r.t.Errorf("the refusal is %v", refused)
		}
		return n
	}
	r.t.Fatalf("%s gets references without end", client)
	return 0
}

// One client that asks without end is refused itself, and leaves room for others:
// half of what there is, each time.
func TestReferencesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newHoldingRig(t, 32, 0)
		if n := r.fill("phantom", nil); n != 16 {
			t.Errorf("the first one got %d", n)
		}
		if n := r.fill(other, nil); n != 8 {
			t.Errorf("the second one got %d", n)
		}
		r.ask(clientForm(params{"client_id": "phantom"}), sts.OutcomeTooMany)
		// JWTs are not kept, so nothing bounds them.
		r.ask(clientForm(nil), sts.OutcomeOK)
		// The second one's live for a minute, the first one's for five.
		<-time.After(time.Minute + 2*time.Second)
		if n := r.fill(other, nil); n != 8 {
			t.Errorf("when its own have ended the second one gets %d", n)
		}
		<-time.After(5 * time.Minute)
		if n := r.fill("phantom", nil); n != 16 {
			t.Errorf("when all have ended the first one gets %d", n)
		}
	})
}

// Few and long ones fill the room as well as many.
func TestReferencesAreSharedByTheirSize(t *testing.T) {
	r := newHoldingRig(t, 0, 64<<10)
	long := exchangeForm(r.subject(map[string]any{"aud": "phantom", "sub": strings.Repeat("s", 6000)}), params{"client_id": "phantom"})
	if n := r.fill("phantom", long); n < 3 || n > 5 {
		t.Errorf("%d long ones were kept", n)
	}
	r.ask(clientForm(params{"client_id": other}), sts.OutcomeOK)
}

// What could not be kept takes no room.
func TestReferencesThatAreNotKept(t *testing.T) {
	r := newHoldingRig(t, 32, 0)
	good := r.settings.Values
	failing := r.settings
	failing.Values = fullValues{good}
	service, err := sts.New(failing)
	r.must(err)
	for range 40 {
		if _, _, refused := service.Token(r.request(clientForm(params{"client_id": "phantom"}).body())); refused == nil || refused.Outcome != sts.OutcomeTooMany {
			t.Fatalf("got %v", refused)
		}
	}
	if n := r.fill("phantom", nil); n != 16 {
		t.Errorf("then the client got %d", n)
	}
}

// fullValues are values of a store that is full.
type fullValues struct{ store.Values }

func (fullValues) Put(context.Context, store.Purpose, string, []byte, time.Time) error {
	return store.ErrFull
}

// Clients fill half of what the list of revocations has room for, each no more than is
// still free: an operator can always revoke.
func TestRevocationsAreShared(t *testing.T) {
	r := newRig(t, func(r *rig) { r.settings.Revoked = sts.NewHoldings(32, 32) })
	revoke := func(client string, want sts.Outcome) {
		r.revoke(client, r.ask(clientForm(params{"client_id": client}), sts.OutcomeOK).AccessToken.Reveal(), want)
	}
	for range 16 {
		revoke("orders", sts.OutcomeOK)
	}
	revoke("orders", sts.OutcomeTooMany)
	revoke("phantom", sts.OutcomeOK)
}
