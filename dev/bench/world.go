package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
)

const apiAudience = "https://api.example.com"

// A world is all that the gateways of one scenario meet: callers, an
// authorization server and an upstream.
type world struct {
	server   *authServer
	issuer   *httptest.Server
	upstream *httptest.Server

	mints  bool                // ours signs a token for each request
	tokens map[string]struct{} // the callers' own
	calls  []string            // one request for each caller, as its bytes
	next   atomic.Uint64       // whose turn it is

	own, other atomic.Int64 // requests at the upstream with and without a caller's own token
}

func newWorld(s scenario) (*world, error) {
	callers := s.callers
	w := &world{mints: s.mints, tokens: make(map[string]struct{}, callers)}
	mux := http.NewServeMux()
	w.issuer = httptest.NewServer(mux)
	w.upstream = httptest.NewServer(http.HandlerFunc(w.serveUpstream))
	var err error
	if w.server, err = newAuthServer(w.issuer.URL); err != nil {
		return nil, err
	}
	mux.Handle("/", w.server)
	for caller := range callers {
		token, err := w.server.callerToken(caller)
		if err != nil {
			return nil, err
		}
		w.tokens[token] = struct{}{}
		w.calls = append(w.calls, "GET /orders/17 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench\r\n"+
			"Accept: application/json\r\nAuthorization: Bearer "+token+"\r\n\r\n")
	}
	return w, nil
}

func (w *world) close() {
	w.upstream.Close()
	w.issuer.Close()
}

// caddyfile is the configuration of one gateway. All of them do the same to the
// request but for what is measured.
func (w *world) caddyfile(r role) string {
	const (
		global = "\tadmin $ADMIN\n\tpersist_config off\n\tauto_https off\n\tdefault_bind 127.0.0.1\n\tgrace_period 1s\n"
		plain  = "{\n" + global + "}\n$SITE {\n\treverse_proxy $UPSTREAM\n}\n"
		full   = "{\n" + global + `	gatehouse {
		issuer main $ISSUER {
			audience ` + apiAudience + `
		}
		client gateway {
			issuer main
			client_id gateway
			secret benchmark
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read
			max_ttl 4h
		}
	}
}
$SITE {
	token_auth
	token_require scope orders:read
	token_exchange orders
	reverse_proxy $UPSTREAM
}
`
	)
	text := plain
	if r == ours {
		text = full
	}
	if r == ours && w.mints {
		text = strings.NewReplacer(
			"\t\t\tclient gateway\n", "\t\t\tgrant local\n\t\t\tcache_entries off\n", "\t\t\tmax_ttl 4h\n", "",
			"\t\texchange orders", "\t\tsign {\n\t\t\tissuer https://gateway.example.com\n\t\t}\n\t\texchange orders",
		).Replace(full)
	}
	return strings.NewReplacer("$ISSUER", w.issuer.URL, "$UPSTREAM", w.upstream.Listener.Addr().String()).Replace(text)
}

func (w *world) serveUpstream(rw http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if _, own := w.tokens[token]; own {
		w.own.Add(1)
	} else if token != "" {
		w.other.Add(1)
	}
	rw.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(rw, `{"order":17,"state":"shipped"}`)
}

// load sends so many requests, callers in turn, and holds the gateway to what it
// is there for: behind ours no caller's own token, behind bare Caddy nothing else.
func (w *world) load(ctx context.Context, g *gateway, connections, requests int, r role) error {
	w.own.Store(0)
	w.other.Store(0)
	faults := make([]error, connections)
	var talking sync.WaitGroup
	for i := range connections {
		share := requests / connections
		if i < requests%connections {
			share++
		}
		talking.Go(func() { faults[i] = w.converse(ctx, g.address, share) })
	}
	talking.Wait()
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	seen, unwanted := w.own.Load(), w.other.Load()
	if r == ours {
		seen, unwanted = unwanted, seen
	}
	if seen != int64(requests) || unwanted != 0 {
		return fmt.Errorf("%s: of %d requests the upstream saw %d with the right token and %d with another",
			r, requests, seen, unwanted)
	}
	return nil
}

// converse sends requests one after another over one connection. They are
// written as they lie ready: both gateways get the same bytes.
func (w *world) converse(ctx context.Context, address string, requests int) error {
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = connection.Close() }()
	reader := bufio.NewReader(connection)
	for range requests {
		call := w.calls[w.next.Add(1)%uint64(len(w.calls))]
		if _, err := io.WriteString(connection, call); err != nil {
			return fmt.Errorf("sending a request: %w", err)
		}
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			return fmt.Errorf("reading an answer: %w", err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("reading an answer: status %d: %w", answer.StatusCode, err)
		}
	}
	return ctx.Err()
}
