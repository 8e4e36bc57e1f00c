package gatehouse

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever has an event to tell never waits for a handler, and what is dropped is said:
// once a minute while it goes on, and at its end.
func TestDroppedEventsAreSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		release, handled, dropped := make(chan struct{}), 0, 0
		e := &emitter{
			hand:    func(event) { <-release; handled++ },
			log:     slog.New(slog.NewTextHandler(&said, nil)),
			waiting: make(chan event, maxEvents),
			dropped: func() { dropped++ },
		}
		ctx, stop := context.WithCancel(t.Context())
		go e.run(ctx)
		e.emit(eventRevoked, nil)
		synctest.Wait() // the handler has it
		for range maxEvents {
			e.emit(eventRevoked, nil)
		}
		says(t, &said, "")
		for range 10 {
			e.emit(eventRevoked, nil)
		}
		says(t, &said, "level=WARN msg=\"events are dropped: a handler of events is too slow\" event=token_revoked dropped=1")
		<-time.After(time.Minute)
		for range 10 {
			e.emit(eventRevoked, nil)
		}
		says(t, &said, "level=WARN msg=\"events are dropped: a handler of events is too slow\" event=token_revoked dropped=11")
		close(release)
		synctest.Wait()
		says(t, &said, "level=INFO msg=\"events are handled again\" dropped=20")
		e.emit(eventRevoked, nil)
		synctest.Wait()
		says(t, &said, "")
		stop()
		synctest.Wait()
		if handled != maxEvents+2 || dropped != 20 {
			t.Errorf("%d events were handled and %d dropped, want %d and 20", handled, dropped, maxEvents+2)
		}
	})
}

// says compares what the log says newly, and forgets it.
func says(t *testing.T, said *bytes.Buffer, want string) {
	t.Helper()
	got := strings.TrimSpace(said.String())
	if _, after, ok := strings.Cut(got, " "); ok {
		got = after // behind the time
	}
	if got != want {
		t.Errorf("the log says %q, want %q", got, want)
	}
	said.Reset()
}
