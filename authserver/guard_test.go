package authserver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

const testPlace = "https://idp.example/token"

// An outage opens the breaker, a probe closes it, and whoever leaves or is told
// no says nothing about the server.
func TestBreaker(t *testing.T) {
	var (
		down     = func() error { return ErrUnreachable }
		broken   = func() error { return errStatus(503) }
		fine     = func() error { return errStatus(200) }
		refusing = func() error { return errStatus(401) }
		left     = func() error { return context.Canceled }
	)
	repeat := func(n int, work func() error) []func() error {
		works := make([]func() error, n)
		for i := range works {
			works[i] = work
		}
		return works
	}
	for name, test := range map[string]struct {
		calls []func() error
		open  bool
		cause string
	}{
		"four failures":               {repeat(4, down), false, ""},
		"five":                        {repeat(5, down), true, "unreachable"},
		"broken":                      {repeat(5, broken), true, "status_503"},
		"one good answer among many":  {append(repeat(1, fine), repeat(50, broken)...), false, ""},
		"refusals":                    {repeat(50, refusing), false, ""},
		"a refusal is a good answer":  {append(repeat(1, refusing), repeat(50, down)...), false, ""},
		"callers that leave":          {repeat(50, left), false, ""},
		"callers that leave, between": {append(repeat(4, down), append(repeat(9, left), down)...), true, "unreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				guard := NewGuard()
				for _, work := range test.calls {
					_ = guard.call(t.Context(), testPlace, work)
				}
				var pause *Pause
				err := guard.call(t.Context(), testPlace, fine)
				if errors.As(err, &pause) != test.open {
					t.Fatalf("error %v", err)
				}
				if !test.open {
					return
				}
				if pause.Reason != PauseOpen || pause.Cause != test.cause || pause.RetryAfter != breakerOpen {
					t.Errorf("%+v", pause)
				}
				if states := guard.Endpoints(); len(states) != 1 || !states[0].Open || states[0].Cause != test.cause || states[0].Openings[test.cause] != 1 {
					t.Errorf("%+v", states)
				}
				if err := guard.call(t.Context(), testPlace+"2", fine); errors.As(err, &pause) {
					t.Error("another endpoint is left alone too")
				}
			})
		})
	}
}

func TestBreakerHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := NewGuard()
		call := func(err error) error {
			return guard.call(t.Context(), testPlace, func() error { return err })
		}
		for range breakerSamples {
			_ = call(ErrTimeout)
		}
		var pause *Pause
		<-time.After(breakerOpen - time.Second)
		if err := call(nil); !errors.As(err, &pause) || pause.RetryAfter != time.Second || pause.Cause != "timeout" {
			t.Errorf("%v", err)
		}
		<-time.After(2 * time.Second)
		// A probe that fails opens it again, and one is enough.
		probed := make(chan error)
		go func() {
			probed <- guard.call(t.Context(), testPlace, func() error {
				<-time.After(time.Second)
				return ErrTimeout
			})
		}()
		synctest.Wait()
		if err := call(nil); !errors.As(err, &pause) {
			t.Errorf("beside the probe: %v", err)
		}
		if err := <-probed; !errors.Is(err, ErrTimeout) {
			t.Errorf("the probe: %v", err)
		}
		if err := call(nil); !errors.As(err, &pause) {
			t.Errorf("after a probe that failed: %v", err)
		}
		<-time.After(breakerOpen + time.Second)
		for range 3 {
			if err := call(nil); err != nil {
				t.Errorf("after the server is back: %v", err)
			}
		}
		if states := guard.Endpoints(); len(states) != 1 || !maps.Equal(states[0].Openings, map[string]uint64{"timeout": 1}) {
			t.Errorf("one outage, with a probe that failed, is told as %+v", states)
		}
	})
}

// Sixty-four calls run, some more wait, and the rest are sent away at once.
func TestGuardBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := NewGuard()
		var running, most, busy atomic.Int32
		var all sync.WaitGroup
		for range maxCalls + maxQueue + 100 {
			all.Go(func() {
				err := guard.call(t.Context(), testPlace, func() error {
					most.Store(max(most.Load(), running.Add(1)))
					<-time.After(time.Second)
					running.Add(-1)
					return nil
				})
				if pause, ok := errors.AsType[*Pause](err); ok {
					busy.Add(1)
					if pause.Reason != PauseBusy || pause.RetryAfter != time.Second {
						t.Errorf("%+v", pause)
					}
				}
			})
		}
		all.Wait()
		if most.Load() != maxCalls || busy.Load() != 100 || guard.at(testPlace).turns.waiting.Load() != 0 {
			t.Errorf("%d ran at once, %d were sent away, %d wait", most.Load(), busy.Load(), guard.at(testPlace).turns.waiting.Load())
		}
	})
}

// Whoever floods one endpoint keeps nobody from another.
func TestGuardEndpointsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := NewGuard()
		over := make(chan struct{})
		var flood sync.WaitGroup
		for range maxCalls + maxQueue {
			flood.Go(func() {
				if err := guard.call(t.Context(), "introspection", func() error { <-over; return nil }); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		var pause *Pause
		if err := guard.call(t.Context(), "introspection", func() error { return nil }); !errors.As(err, &pause) {
			t.Errorf("the flooded endpoint: %v", err)
		}
		if err := guard.call(t.Context(), testPlace, func() error { return nil }); err != nil {
			t.Errorf("another endpoint: %v", err)
		}
		close(over)
		flood.Wait()
	})
}

func TestGuardWaitsNoLongerThanItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guard := NewGuard()
		for range maxCalls {
			guard.at(testPlace).turns.slots <- struct{}{}
		}
		limited, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		work := func() error { t.Error("it was called"); return nil }
		var pause *Pause
		if err := guard.call(limited, testPlace, work); !errors.As(err, &pause) || pause.Reason != PauseBusy {
			t.Errorf("%v", err)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if err := guard.call(gone, testPlace, work); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

// A server that is down is asked five times and then left alone, discovery
// included, and the log says so once.
func TestClientLeavesAServerAlone(t *testing.T) {
	hits := new(atomic.Int32)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(server.Close)
	found, err := NewServer(ServerOptions{Issuer: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(found.Close)
	for name, options := range map[string]ClientOptions{
		"endpoint":  {TokenEndpoint: server.URL},
		"discovery": {Server: found},
	} {
		t.Run(name, func(t *testing.T) {
			hits.Store(0)
			var log bytes.Buffer
			options.Log = slog.New(slog.NewTextHandler(&log, nil))
			client := newTestClient(t, options)
			for range 50 {
				_, err = client.Token(t.Context(), url.Values{})
			}
			var pause *Pause
			if !errors.As(err, &pause) || pause.Reason != PauseOpen {
				t.Errorf("%v", err)
			}
			if hits.Load() > 2*breakerSamples {
				t.Errorf("%d requests", hits.Load())
			}
			if strings.Count(log.String(), "leaving an endpoint alone") != 1 {
				t.Errorf("log: %s", log.String())
			}
		})
	}
}
