package revocation

import (
	"testing"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestWatchedStreamsAreCounted(t *testing.T) {
	memory := store.NewMemory(0)
	defer func() { _ = memory.Close() }()
	state := NewState(memory)
	alices := func(f *Facts) bool { return f.Subject == "alice" }
	for _, subject := range []string{"alice", "bob", "alice"} {
		t.Cleanup(state.Watch(&token.Token{Issuer: issuer, Subject: subject}, func() {}))
	}
	stop := state.Watch(&token.Token{Issuer: issuer, Subject: "alice"}, func() {})
	if got := state.CountWatched(alices); got != 3 {
		t.Errorf("%d streams of alice's are open, want 3", got)
	}
	stop()
	if got := state.CountWatched(alices); got != 2 {
		t.Errorf("%d of them after one has ended, want 2", got)
	}
}
