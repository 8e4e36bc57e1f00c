package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const apiAudience = "https://api.example.com"

// A world is all that the gateways of one scenario meet: callers, an
// authorization server and an upstream.
type world struct {
	scenario scenario
	server   *authServer
	issuer   *httptest.Server
	upstream *httptest.Server
	slow     *httptest.Server // another server, which can be made to hang
	gate     *gate
	identity *identity

	callers []*caller
	tokens  map[string]struct{} // the callers' own
	next    atomic.Uint64       // whose turn it is

	own, other, none atomic.Int64 // requests at the upstream: with a caller's own token, another, none
}

func newWorld(folder string, s scenario) (*world, error) {
	w := &world{scenario: s, gate: newGate(), tokens: make(map[string]struct{}, s.callers)}
	var err error
	if w.identity, err = newIdentity(folder); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	w.issuer = httptest.NewServer(mux)
	w.upstream = httptest.NewServer(http.HandlerFunc(w.serveUpstream))
	if w.server, err = newAuthServer(w.issuer.URL); err != nil {
		return nil, err
	}
	mux.Handle("/", w.server)
	slow := &authServer{url: w.server.url, key: w.server.key, signer: w.server.signer, before: w.gate.pass}
	w.slow = httptest.NewServer(slow)
	for i := range s.callers {
		if err := w.addCaller(i); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *world) addCaller(number int) error {
	made, err := w.newCaller(number)
	if err != nil {
		return err
	}
	w.tokens[made.token] = struct{}{}
	w.callers = append(w.callers, made)
	return nil
}

func (w *world) close() {
	w.gate.open()
	w.slow.Close()
	w.upstream.Close()
	w.issuer.Close()
}

func (w *world) serveUpstream(rw http.ResponseWriter, r *http.Request) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	_, own := w.tokens[token]
	switch {
	case own:
		w.own.Add(1)
	case token != "":
		w.other.Add(1)
	default:
		w.none.Add(1)
	}
	rw.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(rw, `{"order":17,"state":"shipped"}`)
}

// settleAgain is how long settle waits between two requests.
const settleAgain = 20 * time.Millisecond

// settle waits until the gateway serves: keys to sign with come a moment after its start.
func (w *world) settle(ctx context.Context, g *gateway) error {
	line, err := w.line(ctx, g, 0)
	if err != nil {
		return err
	}
	for began := time.Now(); ; <-time.After(settleAgain) {
		request, err := w.callers[0].request("/orders/17")
		if err != nil {
			return err
		}
		if err = line.call(request); err == nil || time.Since(began) > patience {
			return err
		}
	}
}

// load sends so many requests, callers in turn, and holds the gateway to what it
// is there for: behind ours no caller's own token, behind bare Caddy nothing else.
func (w *world) load(ctx context.Context, g *gateway, connections, requests int, r role) error {
	w.forget()
	faults := make([]error, connections)
	var talking sync.WaitGroup
	for i := range connections {
		share := requests / connections
		if i < requests%connections {
			share++
		}
		line, err := w.line(ctx, g, i)
		if err != nil {
			return err
		}
		talking.Go(func() { faults[i] = w.converse(ctx, line, share) })
	}
	talking.Wait()
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	return w.account(r, requests)
}

func (w *world) forget() {
	w.own.Store(0)
	w.other.Store(0)
	w.none.Store(0)
}

// account holds the gateway to what the upstream saw.
func (w *world) account(r role, requests int) error {
	own, other, none := w.own.Load(), w.other.Load(), w.none.Load()
	wanted := &none
	switch {
	case r != ours:
		wanted = &own
	case w.scenario.kind.exchanges():
		wanted = &other
	}
	if *wanted != int64(requests) || own+other+none != int64(requests) {
		return fmt.Errorf("%s: of %d requests the upstream saw %d with the caller's own token, %d with another and %d with none",
			r, requests, own, other, none)
	}
	return nil
}

// converse sends requests one after another over one connection.
func (w *world) converse(ctx context.Context, line *line, requests int) error {
	for range requests {
		request, err := w.callers[w.next.Add(1)%uint64(len(w.callers))].request("/orders/17")
		if err != nil {
			return err
		}
		if err := line.call(request); err != nil {
			return err
		}
	}
	return ctx.Err()
}
