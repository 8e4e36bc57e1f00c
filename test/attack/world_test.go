package attack_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// caddyfile is the gateway under attack: with debug log, since what is only in
// there has left the house as well.
const caddyfile = `{
	debug
	servers $ALIAS_PORT {
		expected_underscore_headers X_Upstream_Token
		max_header_size 20MB
	}
	gatehouse {
		issuer a $ISSUER_A {
			audience https://api.example.com
		}
		issuer b $ISSUER_B {
			audience https://api.example.com
		}
		issuer down $ISSUER_DOWN {
			audience https://api.example.com
		}
		client gateway {
			issuer a
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read orders:write
		}
		exchange billing {
			client gateway
			audience billing
			scope billing:read
		}
		exchange header {
			client gateway
			audience header
			scope orders:read
			inject X-Upstream-Token
		}
	}
}
(upstream) {
	reverse_proxy $UPSTREAM {
		import claims
	}
}
(claims) {
	header_up X-User {http.auth.user.id}
	header_up X-Email {http.auth.user.claim.email}
	header_up X-Groups {http.auth.user.claim.groups}
	header_up X-Nothing {http.auth.user.nothing}
	header_up X-Has-Email {http.auth.user.has.email}
	header_up X-Error {http.auth.error}
	header_up X-Seen "{http.request.header.Authorization}"
	header_up X-Caller "{http.vars.gatehouse.caller}"
}
$SITE {
	handle /a/* {
		token_auth a
		import upstream
	}
	handle /b/* {
		token_auth b
		import upstream
	}
	handle /both/* {
		token_auth a b
		import upstream
	}
	handle /down/* {
		token_auth down
		import upstream
	}
	handle /other/* {
		token_auth a {
			audience https://other.example.com
		}
		import upstream
	}
	handle /certificate/* {
		token_auth a {
			client_certificate Client-Cert
		}
		import upstream
	}
	handle /roles/* {
		token_auth a
		token_require claim roles admin
		import upstream
	}
	handle /orders/* {
		token_auth a b
		token_require any_scope orders:read orders:write
		token_exchange orders
		import upstream
	}
	handle /billing/* {
		token_auth a
		token_exchange billing
		import upstream
	}
	handle /header/* {
		token_auth a
		token_exchange header
		import upstream
	}
	handle /forward/* {
		token_auth a
		forward_auth $ERRORS_UPSTREAM {
			uri /check
			import claims
		}
		token_exchange orders
		import upstream
	}
	handle /intercept/* {
		token_auth a
		token_exchange orders
		intercept {
			@refused status 403
			handle_response @refused {
				reverse_proxy $ERRORS_UPSTREAM {
					import claims
				}
			}
		}
		import upstream
	}
}
$PATHS_SITE {
	token_auth a
	@deep path /orders/deep/*
	token_require @deep scope orders:deep
	handle /orders/* {
		token_require scope orders:admin
		import upstream
	}
}
$ERRORS_SITE {
	log
	log_append seen "{http.request.header.Authorization}"
	log_append caller "{http.vars.gatehouse.caller}"
	token_auth a
	handle /dead/* {
		token_exchange orders
		reverse_proxy $DEAD
	}
	handle /dead-header/* {
		token_exchange header
		reverse_proxy $DEAD
	}
	handle /retry/* {
		token_exchange orders
		reverse_proxy $DEAD $UPSTREAM {
			lb_policy first
			lb_try_duration 10s
			fail_duration 1m
			import claims
		}
	}
	handle /respond/* {
		respond "{http.request.header.Authorization}|{http.vars.gatehouse.caller}|{http.auth.user.id}"
	}
	handle {
		token_require scope orders:admin
		import upstream
	}
	handle_errors {
		reverse_proxy $ERRORS_UPSTREAM {
			import claims
			header_up X-Message "{http.error.message} {http.error.trace}"
		}
	}
}
$ALIAS_SITE {
	token_auth a
	token_exchange header
	reverse_proxy $UPSTREAM
}
`

// A world is the gateway and everything around it.
type world struct {
	t testing.TB

	gateway *harness.Gateway
	// Addresses of its sites beside gateway.URL.
	paths, errors, alias string

	// Issuer a also has the RSA key; b has a key of its own with the same kid; down
	// never published its own. The gateway is a client of a.
	a, b, down *harness.AuthServer
	rsa        *tokentest.Key
	// upstream is what the routes lead to; failures is where error routes lead.
	upstream, failures *harness.Upstream
	// thief is an attacker's key, trap a server that publishes it and that the
	// gateway must never connect to.
	thief *tokentest.Key
	trap  *trap

	serial *atomic.Int64
	end    func() bool
}

func newWorld(life *lifetime) *world {
	w := &world{
		t: life, a: harness.NewAuthServer(life), b: harness.NewAuthServer(life), down: harness.NewAuthServer(life),
		rsa: tokentest.NewKey(life, "RS256", "rsa"), thief: tokentest.NewKey(life, "ES256", "k1"),
		upstream: harness.NewUpstream(life), failures: harness.NewUpstream(life),
		paths: harness.FreeAddress(life), errors: harness.FreeAddress(life), alias: harness.FreeAddress(life),
		serial: new(atomic.Int64),
	}
	w.trap = newTrap(life, w.thief)
	w.a.Rotate(w.a.Key, w.rsa)
	w.a.Answer(w.exchange)
	w.down.Fail(http.StatusServiceUnavailable)
	_, port, _ := strings.Cut(w.alias, ":")
	w.gateway = harness.Start(life, caddyfile,
		"$ISSUER_A", w.a.URL, "$ISSUER_B", w.b.URL, "$ISSUER_DOWN", w.down.URL,
		"$UPSTREAM", w.upstream.Address, "$ERRORS_UPSTREAM", w.failures.Address, "$DEAD", harness.FreeAddress(life),
		"$PATHS_SITE", "http://"+w.paths, "$ERRORS_SITE", "http://"+w.errors,
		"$ALIAS_SITE", "http://"+w.alias, "$ALIAS_PORT", ":"+port)
	w.gateway.Await("/a/", w.a.Token(nil), http.StatusOK)
	w.gateway.Await("/b/", w.b.Token(nil), http.StatusOK)
	w.end = func() bool {
		w.sweep()
		return life.end()
	}
	return w
}

var (
	// What a caller writes into a URL is in Caddy's logs, and the caller's doing.
	inURL = regexp.MustCompile(`access_token=[A-Za-z0-9._-]+`)
	// Caddy's picture of the request for its logs is older than any handler, and hides
	// tokens only. A proof in it is good for nothing any more.
	usedProof = regexp.MustCompile(`"Dpop":\["[A-Za-z0-9._-]+"\]`)
)

// sweep looks for what no test must have brought about.
func (w *world) sweep() {
	log := usedProof.ReplaceAllString(inURL.ReplaceAllString(w.gateway.Log(), ""), "")
	if at := harness.PartOfToken.FindStringIndex(log); at != nil {
		w.t.Errorf("after all tests the log holds a part of a token: %s", log[max(0, at[0]-300):at[1]])
	}
	if strings.Contains(log, harness.ClientSecret) {
		w.t.Errorf("after all tests the log holds the client's secret")
	}
	if n := w.trap.connections.Load(); n != 0 {
		w.t.Errorf("after all tests the gateway connected to the attacker's server %d times", n)
	}
}

// exchange is a's token endpoint: what it issues names the subject of the token
// it got. For the audience header, whose token Caddy's debug log shows, it issues
// texts that are no JWT.
func (w *world) exchange(form url.Values, rw http.ResponseWriter) {
	w.answer(rw, w.issued(form, nil))
}

func (w *world) issued(form url.Values, changes map[string]any) map[string]any {
	serial := fmt.Sprintf("issued-%d", w.serial.Add(1))
	subject := harness.Claims(w.t, form.Get("subject_token"))["sub"]
	text := "opaque-" + serial
	if form.Get("audience") != "header" {
		text = w.a.Token(map[string]any{
			"aud": form.Get("audience"), "scope": form.Get("scope"), "sub": subject,
			"client_id": harness.ClientID, "jti": serial,
		})
	}
	members := map[string]any{"access_token": text}
	maps.Copy(members, changes)
	return w.a.Issued(form, members)
}

func (*world) answer(rw http.ResponseWriter, members map[string]any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(members)
}

// token is a good token of issuer a, unlike any before, with changes.
func (w *world) token(changes map[string]any) string {
	return w.a.Token(w.unique(changes))
}

func (w *world) unique(changes map[string]any) map[string]any {
	all := map[string]any{"jti": fmt.Sprintf("caller-%d", w.serial.Add(1))}
	maps.Copy(all, changes)
	return all
}

// claims are those of a good token of issuer a, unlike any before, with changes.
func (w *world) claims(changes map[string]any) map[string]any {
	return w.a.Claims(w.unique(changes))
}
