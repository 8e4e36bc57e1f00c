package handlers

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestAdmits(t *testing.T) {
	var (
		header = token.Credential{Kind: token.FromHeader, Presented: true}
		cookie = token.Credential{Kind: token.FromCookie, Presented: true}
		query  = token.Credential{Kind: token.FromQuery, Presented: true}
		nobody = token.Credential{}
		socket = http.Header{"Connection": {"keep-alive, Upgrade"}, "Upgrade": {"websocket"}}
		own    = "https://api.example.com"
	)
	tests := map[string]struct {
		found   token.Credential
		method  string
		header  http.Header
		early   bool
		trusted bool
		want    error
	}{
		"header":                        {header, "POST", nil, false, false, nil},
		"header early":                  {header, "POST", nil, true, false, token.EarlyData},
		"header early and safe":         {header, "GET", nil, true, false, nil},
		"early at a proxy":              {header, "DELETE", http.Header{"Early-Data": {"1"}}, false, false, token.EarlyData},
		"early in invalid words":        {header, "PATCH", http.Header{"Early-Data": {"0"}}, false, false, token.EarlyData},
		"early twice":                   {header, "PUT", http.Header{"Early-Data": {"", "1"}}, false, false, token.EarlyData},
		"nobody early":                  {nobody, "POST", nil, true, false, token.EarlyData},
		"nobody":                        {nobody, "POST", http.Header{"Origin": {"https://evil.example"}}, false, false, nil},
		"an unknown method early":       {header, "FETCH", nil, true, false, token.EarlyData},
		"a lower-case method early":     {header, "get", nil, true, false, token.EarlyData},
		"cookie, safe":                  {cookie, "GET", http.Header{"Origin": {"https://evil.example"}}, false, false, nil},
		"cookie, HEAD":                  {cookie, "HEAD", nil, false, false, nil},
		"cookie, POST":                  {cookie, "POST", nil, false, false, token.CrossSite},
		"cookie, same-origin":           {cookie, "POST", http.Header{"Sec-Fetch-Site": {"same-origin"}}, false, false, nil},
		"cookie, same-site":             {cookie, "POST", http.Header{"Sec-Fetch-Site": {"same-site"}}, false, false, token.CrossSite},
		"cookie, no site":               {cookie, "POST", http.Header{"Sec-Fetch-Site": {"none"}}, false, false, token.CrossSite},
		"cookie, two sites":             {cookie, "POST", http.Header{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, false, false, token.CrossSite},
		"cookie, own origin":            {cookie, "POST", http.Header{"Origin": {own}}, false, false, nil},
		"cookie, own origin, default":   {cookie, "POST", http.Header{"Origin": {own + ":443"}}, false, false, nil},
		"cookie, own origin, other":     {cookie, "POST", http.Header{"Origin": {own + ":8443"}}, false, false, token.CrossSite},
		"cookie, own origin, plain":     {cookie, "POST", http.Header{"Origin": {"http://api.example.com"}}, false, false, token.CrossSite},
		"cookie, own origin, longer":    {cookie, "POST", http.Header{"Origin": {own + ".evil.example"}}, false, false, token.CrossSite},
		"cookie, null":                  {cookie, "POST", http.Header{"Origin": {"null"}}, false, false, token.CrossSite},
		"cookie, two origins":           {cookie, "POST", http.Header{"Origin": {own, own}}, false, false, token.CrossSite},
		"cookie, foreign":               {cookie, "POST", http.Header{"Origin": {"https://evil.example"}}, false, false, token.CrossSite},
		"cookie, forwarded, untrusted":  {cookie, "POST", http.Header{"Origin": {"https://evil.example"}, "X-Forwarded-Host": {"evil.example"}}, false, false, token.CrossSite},
		"cookie, forwarded, trusted":    {cookie, "POST", http.Header{"Origin": {"https://outside.example"}, "X-Forwarded-Host": {"outside.example"}}, false, true, nil},
		"cookie, forwarded proto":       {cookie, "POST", http.Header{"Origin": {"http://api.example.com"}, "X-Forwarded-Proto": {"http"}}, false, true, nil},
		"cookie, forwarded, of another": {cookie, "POST", http.Header{"Origin": {own}, "X-Forwarded-Host": {"outside.example"}}, false, true, token.CrossSite},
		"cookie, upgrade":               {cookie, "GET", socket, false, false, token.CrossSite},
		"cookie, CONNECT":               {cookie, "CONNECT", nil, false, false, token.CrossSite},
		"query":                         {query, "GET", nil, false, false, token.Malformed},
		"query, WebSocket":              {query, "GET", socket, false, false, nil},
		"query, half of a handshake":    {query, "GET", http.Header{"Upgrade": {"websocket"}}, false, false, token.Malformed},
		"query, h2c":                    {query, "GET", http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}}, false, false, token.Malformed},
		"query, WebSocket by POST":      {query, "POST", socket, false, false, token.Malformed},
		"query, events":                 {query, "GET", http.Header{"Accept": {"text/html, Text/Event-Stream;q=0.9"}}, false, false, nil},
		"query, events by HEAD":         {query, "HEAD", http.Header{"Accept": {"text/event-stream"}}, false, false, token.Malformed},
		"query, anything":               {query, "GET", http.Header{"Accept": {"*/*"}}, false, false, token.Malformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, "https://api.example.com/", http.NoBody)
			request.Method, request.Host = test.method, "api.example.com"
			request.TLS = &tls.ConnectionState{HandshakeComplete: !test.early}
			if test.header != nil {
				request.Header = test.header
			}
			request = request.WithContext(context.WithValue(request.Context(), caddyhttp.VarsCtxKey,
				map[string]any{caddyhttp.TrustedProxyVarKey: test.trusted}))
			if err := admits(request, &test.found); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
