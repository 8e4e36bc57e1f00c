package integration_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Error routes with an upstream of their own, behind what refuses before token_auth has
// taken the token off the request, and beside what reads it elsewhere.
const earlyRefusals = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange public {
			client gateway
			grant client_credentials
			audience public
			anonymous
		}
		exchange orders {
			client gateway
			audience orders
		}
	}
}
$SITE {
	token_resource https://api.example.com/orders
	handle /limited {
		route {
			token_limit all 1 1h
			token_auth
			respond ok
		}
	}
	handle /limit-cookie {
		route {
			token_limit cookie 1 1h
			token_auth {
				from cookie session
				from header X-Access-Token
				from query access_token
			}
			respond ok
		}
	}
	handle /misplaced {
		token_require scope orders:read
	}
	handle /exchange {
		token_exchange orders
	}
	handle /matched {
		@reader token scope orders:read
		respond @reader ok
	}
	handle /expression {
		@reader expression token_scope("orders:read")
		respond @reader ok
	}
	handle /public {
		token_exchange public
		reverse_proxy $UPSTREAM
	}
	handle /dropped {
		rewrite * /dropped?
		token_auth {
			from query access_token
		}
		respond ok
	}
	handle_errors {
		reverse_proxy $UPSTREAM {
			header_up X-Original "{http.request.orig_uri} {http.request.orig_uri.query}"
		}
	}
}
`

// presents are the ways in which a request may hold its caller's token and proof.
var presents = map[string]func(r *http.Request, token string){
	"authorization": func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) },
	"cookie":        func(r *http.Request, token string) { r.Header.Set("Cookie", "theme=dark; session="+token) },
	"header":        func(r *http.Request, token string) { r.Header.Set("X-Access-Token", token) },
	"other header":  func(r *http.Request, token string) { r.Header["X_access.token"] = []string{token} },
	"query":         func(r *http.Request, token string) { r.URL.RawQuery = "page=2&access_token=" + token },
	"escaped query": func(r *http.Request, token string) { r.URL.RawQuery = "%61ccess_token=" + token + "&page=2" },
	"proof":         func(r *http.Request, token string) { r.Header.Set("DPoP", token) },
	"txn":           func(r *http.Request, token string) { r.Header.Set("Txn-Token", token) },
	"trailer": func(r *http.Request, token string) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("body")), -1
		r.Trailer = http.Header{"X-Access-Token": {token}, "X-Sum": {"1"}}
	},
}

// Whatever refuses a request, and wherever its token lies: an error route's upstream
// never sees it, and sees all the rest.
func TestEarlyRefusalsKeepTheToken(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, earlyRefusals, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	caller := idp.Token(nil)
	gateway.Await("/limited", caller, http.StatusOK) // the one that the limit allows
	gateway.Get("/limit-cookie", caller)
	for _, path := range []string{
		"/limited", "/limit-cookie", "/misplaced", "/exchange", "/matched", "/expression", "/public", "/dropped",
		"/.well-known/oauth-protected-resource/orders",
	} {
		for name, present := range presents {
			refused := gateway.Request(http.MethodPost, path, "")
			present(refused, caller)
			if path == "/dropped" && !strings.HasSuffix(name, "query") {
				continue // the token_auth of this route reads the query alone
			}
			seen := len(upstream.Received())
			gateway.Do(refused)
			if len(upstream.Received()) != seen+1 {
				t.Fatalf("%s, %s: nothing reached the upstream", path, name)
			}
			got := upstream.Last(t)
			if got.Holds(caller) || strings.Contains(strings.Join(got.Trailer["X-Access-Token"], ""), caller) {
				t.Errorf("%s, %s: the upstream got the caller's token", path, name)
			}
			keepsTheRest(t, path+", "+name, got)
		}
	}
}

// keepsTheRest holds that nothing else was taken along with the token.
func keepsTheRest(t *testing.T, what string, got harness.Received) {
	t.Helper()
	switch {
	case strings.HasSuffix(what, "cookie") && got.Header.Get("Cookie") != "theme=dark":
		t.Errorf("%s: cookies %q", what, got.Header["Cookie"])
	case strings.HasSuffix(what, "query") && got.Query != "page=2":
		t.Errorf("%s: query %q", what, got.Query)
	}
}
