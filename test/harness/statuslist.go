package harness

import (
	"maps"
	"net/http"
	"sync"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// A StatusList is a status list that an authorization server publishes: a thousand
// entries of two bits, all of them valid at first.
type StatusList struct {
	URI string

	server  *AuthServer
	path    string
	mu      sync.Mutex
	packed  []byte
	changes map[string]any
}

// Lists publishes a status list at a path.
func (s *AuthServer) Lists(path string) *StatusList {
	list := &StatusList{URI: s.URL + path, server: s, path: path, packed: make([]byte, 250)}
	s.Handle(path, list.serve)
	return list
}

// Token signs a good access token of the entry.
func (l *StatusList) Token(index int, changes map[string]any) string {
	claims := map[string]any{"status": tokentest.Status(l.URI, index)}
	maps.Copy(claims, changes)
	return l.server.Token(claims)
}

// Set gives an entry another status.
func (l *StatusList) Set(index int, status byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	shift := index % 4 * 2
	l.packed[index/4] = l.packed[index/4]&^(3<<shift) | status<<shift
}

// Change changes the claims of the list; see tokentest.StatusListClaims.
func (l *StatusList) Change(changes map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = changes
}

// Claims are those of the list at present.
func (l *StatusList) Claims() map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return tokentest.StatusListClaims(l.URI, tokentest.StatusList(2, l.packed), l.changes)
}

// Answer answers in the place of the list; nil ends it.
func (l *StatusList) Answer(handler http.HandlerFunc) {
	if handler == nil {
		handler = l.serve
	}
	l.server.Handle(l.path, handler)
}

// Serve answers with that text in the place of the list.
func (l *StatusList) Serve(text string) {
	l.Answer(func(w http.ResponseWriter, _ *http.Request) { writeList(w, text) })
}

// Hits is how often it was fetched.
func (l *StatusList) Hits() int { return l.server.Hits(l.path) }

func (l *StatusList) serve(w http.ResponseWriter, _ *http.Request) {
	writeList(w, l.server.Key.Sign(tokentest.StatusListHeader(), l.Claims()))
}

func writeList(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/statuslist+jwt")
	_, _ = w.Write([]byte(text))
}
