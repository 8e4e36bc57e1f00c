package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The upstream is one of Caddy's own servers, so Caddy's own metrics say how many
// requests reached it. The quickstart has them off: they cost, and its readers do
// not need them.

// countRequests turns Caddy's HTTP metrics on, through its admin endpoint.
func (c *client) countRequests(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, adminURL+"/config/apps/http/metrics", strings.NewReader("{}"))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	a, err := c.send(request)
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("turning Caddy's metrics on: %d %s", a.Status, a.Body)
	}
	return err
}

// upstreamServer is Caddy's name for the server at the upstream's port.
func (c *client) upstreamServer(ctx context.Context) (string, error) {
	a, err := c.do(ctx, http.MethodGet, adminURL+"/config/apps/http/servers", "", nil)
	if err != nil {
		return "", err
	}
	var servers map[string]struct {
		Listen []string `json:"listen"`
	}
	if err := json.Unmarshal([]byte(a.Body), &servers); err != nil {
		return "", fmt.Errorf("reading Caddy's servers: %w", err)
	}
	for name, server := range servers {
		if slices.ContainsFunc(server.Listen, func(at string) bool { return strings.HasSuffix(at, ":"+upstreamPort) }) {
			return name, nil
		}
	}
	return "", fmt.Errorf("no server listens on port %s; there are %v", upstreamPort, slices.Sorted(maps.Keys(servers)))
}

// reached is how many requests have reached the upstream.
func (c *client) reached(ctx context.Context, server string) (int, error) {
	a, err := c.do(ctx, http.MethodGet, adminURL+"/metrics", "", nil)
	if err != nil {
		return 0, err
	}
	return requestsOf(server, a.Body), nil
}

// requestsOf reads a server's requests from Prometheus's text format. Each of them
// passes the site's subroute once.
func requestsOf(server, metrics string) int {
	prefix := fmt.Sprintf("caddy_http_requests_total{handler=%q,server=%q} ", "subroute", server)
	for line := range strings.Lines(metrics) {
		if value, ok := strings.CutPrefix(line, prefix); ok {
			count, _ := strconv.ParseFloat(strings.TrimSpace(value), 64) // what is no number counts nothing, and the check fails
			return int(count)
		}
	}
	return 0
}
