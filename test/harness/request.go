package harness

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"
)

// client follows no redirect and keeps no connection: tests look at each answer.
var client = &http.Client{
	Timeout:       patience,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// An Answer is a whole answer of the gateway.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Get asks for a path with a bearer token, none if it is "".
func (g *Gateway) Get(path, token string) Answer {
	g.tb.Helper()
	return g.Do(g.Request(http.MethodGet, path, token))
}

// Request makes a request with a bearer token, none if it is "".
func (g *Gateway) Request(method, path, token string) *http.Request {
	g.tb.Helper()
	request, err := http.NewRequest(method, g.URL+path, http.NoBody)
	if err != nil {
		g.tb.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request
}

// Do sends a request. After a reload Caddy's server of before may take one more
// connection, which it closes unanswered: then a request without a body is sent
// once more, as browsers do.
func (g *Gateway) Do(request *http.Request) Answer {
	g.tb.Helper()
	answer, err := client.Do(request)
	for range 3 {
		if err == nil || !g.reloaded || !errors.Is(err, io.EOF) || request.Body != http.NoBody {
			break
		}
		answer, err = client.Do(request)
	}
	if err != nil {
		g.tb.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		g.tb.Fatal(err)
	}
	return Answer{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
}

// Await asks until the answer has that status: issuers' keys come in the
// background.
func (g *Gateway) Await(path, token string, status int) Answer {
	g.tb.Helper()
	deadline := time.Now().Add(patience)
	for {
		answer := g.Get(path, token)
		if answer.Status == status {
			return answer
		}
		if time.Now().After(deadline) {
			g.tb.Fatalf("GET %s answers %d, never %d: %s", path, answer.Status, status, answer.Body)
		}
		pause()
	}
}

// Audit returns the lines of the audit trail so far, oldest first.
func (g *Gateway) Audit() []map[string]any {
	return g.lines(func(line map[string]any) bool { return line["logger"] == "gatehouse.audit" })
}

// Lines returns the log lines whose message is the given one.
func (g *Gateway) Lines(message string) []map[string]any {
	return g.lines(func(line map[string]any) bool { return line["msg"] == message })
}

func (g *Gateway) lines(want func(map[string]any) bool) []map[string]any {
	var found []map[string]any
	for _, line := range g.process.said.lines() {
		if want(line) {
			found = append(found, maps.Clone(line)) // tests take members out
		}
	}
	return found
}

// Expect fails the test unless the answer has that status.
func (a Answer) Expect(tb testing.TB, status int) Answer {
	tb.Helper()
	if a.Status != status {
		tb.Errorf("status %d, want %d; header %v; body %s", a.Status, status, a.Header, a.Body)
	}
	return a
}
