package exchange

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
)

// Who comes when a new token is due joins the renewal that is under way. That the server is
// down costs it no more than anybody else: the old token serves to its end.
func TestExchangeJoinsARenewalThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{takes: time.Second}
		x, state := newSlow(t, server)
		caller := callerAt(time.Now(), "t")
		if _, err := x.Exchange(t.Context(), caller); err != nil {
			t.Fatal(err)
		}
		key, err := x.key(nil, caller)
		if err != nil {
			t.Fatal(err)
		}
		server.err = authserver.ErrUnreachable
		<-time.After(time.Until(state.get(key).freshUntil) - 100*time.Millisecond)
		if issued, err := x.Exchange(t.Context(), caller); OutcomeOf(issued, err) != OutcomeRefresh {
			t.Fatalf("ahead of time: %s", OutcomeOf(issued, err))
		}
		<-time.After(200 * time.Millisecond)
		issued, err := x.Exchange(t.Context(), caller)
		if err != nil || issued.Degraded == nil || issued.Token.Reveal() != "issued" {
			t.Errorf("joined: %+v, %v", issued, err)
		}
		if calls := server.calls.Load(); calls != 3 { // the first, the renewal and its one retry
			t.Errorf("%d calls: it did not join the renewal", calls)
		}
		<-time.After(time.Until(state.get(key).keepUntil))
		if issued, err := x.Exchange(t.Context(), caller); OutcomeOf(issued, err) != OutcomeServerDown {
			t.Errorf("past the end: %s", OutcomeOf(issued, err))
		}
	})
}
