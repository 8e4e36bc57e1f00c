package integration_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const matchers = `{
	gatehouse {
		issuer one https://one.example.com {
			audience any
			jwks $DIR/set.json
		}
		policy staff {
			claim groups staff
		}
	}
}
$SITE {
	token_auth one
	@admin token scope admin
	@staff {
		path /desk/*
		token {
			policy staff
			client app web
		}
	}
	@tenant expression token_claim("tenant", {http.request.uri.path.0}) && !token_scope("guest")
	@stranger {
		path /desk/*
		not token policy staff
	}
	handle @admin {
		header @admin X-Admin yes
		respond "admin"
	}
	handle @staff {
		respond "staff"
	}
	handle @tenant {
		respond "tenant"
	}
	handle @stranger {
		respond "stranger"
	}
	handle {
		token_require scope nobody
	}
	handle_errors {
		@operator token scope admin.errors
		@known token client app
		handle @operator {
			respond "error for an admin" 418
		}
		handle @known {
			respond "error for app" 418
		}
		handle {
			respond "error for anyone" 418
		}
	}
}
`

func TestTokenMatcher(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "k1")
	folder := t.TempDir()
	write(t, filepath.Join(folder, "set.json"), tokentest.Set(key))
	gateway := harness.Start(t, matchers, "$DIR", folder)
	tests := map[string]struct {
		path   string
		claims map[string]any
		want   string
	}{
		"short form":             {"/any", map[string]any{"scope": "x admin"}, "admin"},
		"block":                  {"/desk/1", map[string]any{"groups": []string{"staff"}, "client_id": "web"}, "staff"},
		"block, one rule broken": {"/desk/1", map[string]any{"groups": []string{"staff"}, "client_id": "we"}, "error for anyone"},
		"not":                    {"/desk/1", map[string]any{"groups": []string{"staf"}, "client_id": "web"}, "stranger"},
		"beside a path":          {"/any", map[string]any{"groups": []string{"staff"}, "client_id": "web"}, "error for anyone"},
		"expression":             {"/acme/1", map[string]any{"tenant": "acme"}, "tenant"},
		"expression, and not":    {"/acme/1", map[string]any{"tenant": "acme", "scope": "guest", "client_id": "web"}, "error for anyone"},
		"expression, other":      {"/other/1", map[string]any{"tenant": "acme", "client_id": "web"}, "error for anyone"},
		"expression of nothing":  {"/", map[string]any{"tenant": "", "client_id": "web"}, "error for anyone"},
		"in error routes":        {"/any", map[string]any{"client_id": "app", "scope": ""}, "error for app"},
		"in error routes, scope": {"/any", map[string]any{"client_id": "app", "scope": "admin.errors"}, "error for an admin"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := gateway.Get(test.path, key.Sign(nil, tokentest.Claims("https://one.example.com", test.claims)))
			if got.Body != test.want || (got.Header.Get("X-Admin") != "") != (test.want == "admin") {
				t.Errorf("%d %q, want %q", got.Status, got.Body, test.want)
			}
		})
	}
	for name, token := range map[string]string{"no token": "", "a bad token": "x.y.z"} {
		t.Run(name, func(t *testing.T) {
			if got := gateway.Get("/any", token); got.Body != "error for anyone" {
				t.Errorf("%d %q", got.Status, got.Body)
			}
		})
	}
	if faults := gateway.Lines("route is misconfigured"); len(faults) > 0 {
		t.Errorf("a fault: %v", faults)
	}
}

const misplacedMatchers = `{
	gatehouse {
		issuer one https://one.example.com {
			audience any
			jwks $DIR/set.json
		}
	}
}
(routes) {
	route /yes {
		@reader token scope read
		respond @reader "yes"
		respond "no"
	}
	route /not {
		@other not token scope read
		respond @other "yes"
		respond "no"
	}
	route /early {
		@other not token scope read
		reverse_proxy @other $UPSTREAM
		token_auth one
		reverse_proxy $UPSTREAM
	}
	route /beside {
		@both {
			method GET
			token scope read
		}
		respond @both "yes"
		respond "no"
	}
	route /scope {
		@reader expression token_scope("read")
		respond @reader "yes"
		respond "no"
	}
	route /claim {
		@other expression !token_claim("tenant", {http.request.header.X-Tenant})
		respond @other "yes"
		respond "no"
	}
	route /require {
		@reader token scope read
		token_require @reader scope write
		respond "no"
	}
}
$SITE {
	import routes
	handle_errors {
		reverse_proxy $UPSTREAM {
			header_up X-Message "{http.error}"
		}
	}
}
$PLAIN {
	import routes
}
`

// A matcher that cannot know is neither true nor false.
func TestMisplacedMatchers(t *testing.T) {
	t.Parallel()
	key, upstream := tokentest.NewKey(t, "ES256", "k1"), harness.NewUpstream(t)
	folder, plain := t.TempDir(), "http://"+harness.FreeAddress(t)
	write(t, filepath.Join(folder, "set.json"), tokentest.Set(key))
	gateway := harness.Start(t, misplacedMatchers, "$DIR", folder, "$UPSTREAM", upstream.Address, "$PLAIN", plain)
	token := key.Sign(nil, tokentest.Claims("https://one.example.com", map[string]any{"scope": "read"}))
	for _, path := range []string{"/yes", "/not", "/early", "/beside", "/scope", "/claim", "/require"} {
		t.Run(path, func(t *testing.T) {
			before := len(gateway.Lines("route is misconfigured"))
			got := gateway.Do(at(t, gateway, plain, path, token)).Expect(t, http.StatusInternalServerError)
			if got.Body != "" {
				t.Errorf("the answer is %q", got.Body)
			}
			if received := len(upstream.Received()); received != 0 {
				t.Errorf("the upstream was reached")
			}
			harness.Eventually(t, "the fault is logged", func() bool { return len(gateway.Lines("route is misconfigured")) > before })
			line := gateway.Lines("route is misconfigured")[before]
			places, _ := line["places"].([]any)
			if len(places) != 1 || line["level"] != "error" || line["logger"] != "gatehouse" || line["path"] != path {
				t.Fatalf("the log says %v", line)
			}
			isFunction := path == "/scope" || path == "/claim"
			problem := map[bool]string{false: "token matcher without a token_auth before it", true: "token function without a token_auth before it"}[isFunction]
			place := map[bool]string{false: "Caddyfile:", true: "token_" + path[1:] + "("}[isFunction]
			if text, _ := places[0].(string); line["problem"] != problem || !strings.Contains(text, place) {
				t.Errorf("the log says %v", line)
			}
		})
	}
	for _, path := range []string{"/not", "/claim"} {
		t.Run("error routes "+path, func(t *testing.T) {
			gateway.Do(at(t, gateway, gateway.URL, path, token)).Expect(t, http.StatusOK)
			got := upstream.Last(t)
			if message := got.Header.Get("X-Message"); !strings.Contains(message, "The server's configuration does not allow it to answer this request.") {
				t.Errorf("{http.error} is %q", message)
			}
		})
	}
	expectNowhere(t, gateway, upstream, harness.Answer{}, token)
}
