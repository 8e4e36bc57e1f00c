package attack_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const canaryCaddyfile = `{
	debug
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		issuer down $DOWN {
			audience https://api.example.com
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		client post {
			issuer main
			client_id gateway
			auth post
			secret canary-client-secret
			timeout 1s
		}
		client wrong {
			token_endpoint $IDP/token
			client_id gateway
			secret canary-wrong-secret
		}
		exchange basic {
			client gateway
			audience orders
			scope orders:read
		}
		exchange post {
			client post
			audience orders
			scope orders:write
		}
		exchange wrong {
			client wrong
			subject_issuer main
			audience orders
		}
	}
}
(routes) {
	log
	token_auth main down
	handle /basic/* {
		token_exchange basic
		reverse_proxy $UPSTREAM
	}
	handle /post/* {
		token_exchange post
		reverse_proxy $UPSTREAM
	}
	handle /wrong/* {
		token_exchange wrong
		reverse_proxy $UPSTREAM
	}
	handle /dead/* {
		token_exchange basic
		reverse_proxy $DEAD
	}
	handle /admin/* {
		token_require scope orders:admin
		reverse_proxy $UPSTREAM
	}
	handle /twice/* {
		route {
			token_auth main
			reverse_proxy $UPSTREAM
		}
	}
	handle {
		reverse_proxy $UPSTREAM
	}
}
$SITE {
	import routes
}
$ERRORS_SITE {
	import routes
	handle_errors {
		respond "{http.error.message} {http.error.trace} {http.error} {http.auth.error} {http.request.header.Authorization} {http.vars.gatehouse.caller}"
	}
}
`

// canaryWords are what a server says to the gateway and nobody else may read.
const canaryWords = "canary-description"

// canaryAnswers are what a token endpoint in trouble says. Each holds a token or
// words that only the gateway may see.
func canaryAnswers(idp *harness.AuthServer) []func(url.Values, http.ResponseWriter) {
	var answers []func(url.Values, http.ResponseWriter)
	for _, code := range []string{
		"invalid_request", "invalid_grant", "invalid_client", "invalid_scope", "invalid_target", "access_denied", "server_error",
		"temporarily_unavailable", "interaction_required", "vendor_code", `"` + canaryWords + "\r\n", canaryWords + " " + canaryWords,
	} {
		for _, status := range []int{400, 401, 403, 429, 500, 503} {
			answers = append(answers, func(_ url.Values, rw http.ResponseWriter) {
				rw.Header().Set("Content-Type", "application/json")
				rw.Header().Set("WWW-Authenticate", `Bearer error_description="`+canaryWords+`"`)
				rw.WriteHeader(status)
				_, _ = fmt.Fprintf(rw, `{"error":%q,"error_description":%q,"error_uri":"https://example.com/%s"}`, code, canaryWords, canaryWords)
			})
		}
	}
	for _, text := range []string{canaryWords, `{"access_token":"` + canaryWords, `["` + canaryWords + `"]`, "", "<html>" + canaryWords} {
		answers = append(answers, func(_ url.Values, rw http.ResponseWriter) { _, _ = rw.Write([]byte(text)) })
	}
	answers = append(answers, func(form url.Values, rw http.ResponseWriter) {
		rw.Header().Set("Location", "https://example.com/"+canaryWords+"?"+form.Encode())
		rw.WriteHeader(http.StatusTemporaryRedirect)
	})
	for _, changes := range []map[string]any{
		{"token_type": "mac"},
		{"token_type": canaryWords},
		{"issued_token_type": canaryWords},
		{"scope": "orders:read orders:admin"},
		{"expires_in": 0},
		{"expires_in": canaryWords},
		{"access_token": canaryWords + "\n"},
		{"refresh_token": canaryWords},
	} {
		answers = append(answers, func(form url.Values, rw http.ResponseWriter) {
			(&world{}).answer(rw, idp.Issued(form, changes))
		})
	}
	return answers
}

// A canary run collects what went in and what came out.
type canaryRun struct {
	t       *testing.T
	gateway *harness.Gateway
	sites   []string
	secrets []string
	answers strings.Builder
}

// ask sends a credential to both sites and keeps the answers.
func (c *canaryRun) ask(path string, authorization ...string) {
	c.t.Helper()
	for _, site := range c.sites {
		request := c.gateway.Request(http.MethodGet, path, "")
		request.URL.Host = strings.TrimPrefix(site, "http://")
		request.Header["Authorization"] = authorization
		answer := c.gateway.Do(request)
		_, _ = fmt.Fprintf(&c.answers, "%d %v %s\n", answer.Status, answer.Header, answer.Body)
	}
	for _, value := range authorization {
		_, token, _ := strings.Cut(value, " ")
		c.keep(token)
	}
}

// keep remembers a token, and each of its parts, as something to be found nowhere.
// Headers are all alike, and looked for by their beginning.
func (c *canaryRun) keep(token string) {
	const shortest = 12 // below that a text means nothing
	for _, part := range append(strings.Split(token, "."), token) {
		if len(part) >= shortest && (part == token || !strings.HasPrefix(part, "eyJhbGciOi")) {
			c.secrets = append(c.secrets, part)
		}
	}
}

// Tokens, secrets and what servers say are in no log, no metric and no answer,
// after all kinds of requests that went well and that did not.
func TestAttack32Canaries(t *testing.T) {
	w := attacked(t)
	idp, down, upstream := harness.NewAuthServer(t), harness.NewAuthServer(t), harness.NewUpstream(t)
	down.Handle("/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(canaryWords)) })
	second := "http://" + harness.FreeAddress(t)
	gateway := harness.Start(t, canaryCaddyfile, "$IDP", idp.URL, "$DOWN", down.URL, "$UPSTREAM", upstream.Address,
		"$ERRORS_SITE", second, "$DEAD", harness.FreeAddress(t))
	c := &canaryRun{t: t, gateway: gateway, sites: []string{gateway.URL, second}}
	c.secrets = []string{
		harness.ClientSecret, "canary-wrong-secret", canaryWords, base64.StdEncoding.EncodeToString([]byte("gateway:" + harness.ClientSecret)),
	}
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	goodAndBad(c, w, idp, down)
	exchanges(c, w, idp)
	slow(c, w, idp)

	for _, got := range upstream.Received() {
		for _, secret := range c.secrets {
			if got.Holds(secret) {
				t.Errorf("the upstream got %.60q", secret)
			}
		}
	}
	for _, got := range upstream.Received() {
		c.keep(got.Bearer()) // the upstream's own tokens belong to it alone
	}
	status := strings.TrimPrefix(gateway.Admin, "http://")
	tables, _ := gateway.Run("gatehouse", "status", "--address", status)
	asJSON, _ := gateway.Run("gatehouse", "status", "--json", "--address", status)
	places := map[string]string{"the status": tables, "the status in JSON": asJSON, "the log": gateway.Log(), "a metric": gateway.Metrics(), "an answer": c.answers.String()}
	for place, text := range places {
		if len(text) < 1000 {
			t.Errorf("%s holds next to nothing: %s", place, text)
		}
		for _, secret := range append(c.secrets, "eyJhbGciOi") {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s holds %.60q: %s", place, secret, text[max(0, at-300):at])
			}
		}
	}
}

// goodAndBad sends tokens of all kinds to routes of all kinds.
func goodAndBad(c *canaryRun, w *world, idp, down *harness.AuthServer) {
	fresh := func(changes map[string]any) string { return "Bearer " + idp.Token(w.unique(changes)) }
	for _, path := range []string{"/", "/basic/", "/post/", "/wrong/", "/dead/", "/admin/", "/twice/"} {
		c.ask(path, fresh(nil))
		c.ask(path, fresh(map[string]any{"scope": "orders:read"}))
		c.ask(path, "Bearer "+down.Token(w.unique(nil)))
		c.ask(path, fresh(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}))
		c.ask(path, fresh(map[string]any{"aud": "x"}))
		c.ask(path, fresh(map[string]any{"sub": []string{"x"}}))
		c.ask(path, "Bearer "+idp.Key.Sign(map[string]any{"kid": "unknown"}, idp.Claims(w.unique(nil))))
		c.ask(path, "Bearer "+w.thief.Sign(nil, idp.Claims(w.unique(nil))))
		c.ask(path, fresh(nil), fresh(nil))
		c.ask(path, fresh(nil)+", "+fresh(nil))
		c.ask(path, "Basic "+base64.StdEncoding.EncodeToString([]byte("alice:canary-password-of-alice")))
		c.ask(path, "DPoP "+idp.Token(w.unique(nil)))
		c.ask(path, "Bearer canary-opaque-token")
		c.ask(path, "Bearer canary-part-one.canary-part-two.canary-part-three")
		c.ask(path, fresh(nil)+strings.Repeat("x", 17<<10))
		c.ask(path)
	}
}

// exchanges asks a server that answers in every wrong way.
func exchanges(c *canaryRun, w *world, idp *harness.AuthServer) {
	for _, answer := range canaryAnswers(idp) {
		idp.Answer(func(form url.Values, rw http.ResponseWriter) { answer(form, rw) })
		for _, path := range []string{"/basic/", "/post/"} {
			c.ask(path, "Bearer "+idp.Token(w.unique(nil)))
		}
	}
	idp.Answer(nil)
	c.ask("/basic/", "Bearer "+idp.Token(w.unique(nil)))
}

// slow asks a server that does not answer in time, and one that is gone.
func slow(c *canaryRun, w *world, idp *harness.AuthServer) {
	release := make(chan struct{})
	idp.Answer(func(url.Values, http.ResponseWriter) { <-release })
	c.ask("/post/", "Bearer "+idp.Token(w.unique(nil)))
	close(release)
	idp.Fail(http.StatusServiceUnavailable)
	c.ask("/basic/", "Bearer "+idp.Token(w.unique(nil)))
	idp.Fail(0)
	idp.Answer(nil)
}
