package attack_test

import (
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const ruleCaddyfile = `{
	gatehouse {
		issuer a $ISSUER_A {
			audience https://api.example.com
		}
		policy admin {
			scope admin
		}
	}
}
(upstream) {
	reverse_proxy $UPSTREAM
}
$SITE {
	token_auth a
	@rule path /guarded/*
	token_require @rule policy admin
	@matcher {
		path /matched/*
		not token scope admin
	}
	respond @matcher 403
	@expression expression path("/expressed/*") && !token_scope("admin")
	respond @expression 403
	token_require expression !path("/ruled/*") || token_scope("admin")
	import upstream
}
$OVERLAPS {
	token_auth a
	@reads token scope read
	@writes token scope write
	handle @reads {
		token_require scope more
		import upstream
	}
	handle @writes {
		import upstream
	}
}
$VALUES {
	token_auth a
	handle /equals {
		token_require expression {http.auth.user.claim.tenant} == "acme"
		import upstream
	}
	handle /function {
		token_require expression token_claim("tenant", {http.request.header.X-Tenant})
		import upstream
	}
	handle /rule {
		token_require claim tenant {http.request.header.X-Tenant}
		import upstream
	}
	handle /amr {
		token_require amr hwk
		import upstream
	}
	handle /acr {
		token_require acr gold
		import upstream
	}
	handle /age {
		token_require max_auth_age 5m
		import upstream
	}
	handle /actor {
		token_require actor robot
		import upstream
	}
	handle /former {
		token_require expression ph(req, "http.auth.user.claim.act.act.sub") == "robot"
		import upstream
	}
	handle /agents {
		token_require expression {http.auth.user.claim.act}.contains("robot")
		import upstream
	}
	handle /matcher {
		@acme token claim tenant acme
		handle @acme {
			import upstream
		}
	}
	handle /users/* {
		token_require expression "{http.auth.user.subject}.matches('^[A-Za-z0-9_-]+$')"
		rewrite * /users/{http.auth.user.subject}/orders
		import upstream
	}
}
$BEFORE {
	route /not {
		@stranger not token scope admin
		reverse_proxy @stranger $UPSTREAM
		token_auth a
	}
	route /not-block {
		@stranger {
			not {
				token scope admin
			}
		}
		reverse_proxy @stranger $UPSTREAM
		token_auth a
	}
	route /not-or {
		@stranger {
			not token scope admin
			not path /other
		}
		reverse_proxy @stranger $UPSTREAM
	}
	route /function {
		@stranger expression !token_scope("admin")
		reverse_proxy @stranger $UPSTREAM
		token_auth a
	}
	route /skipped {
		@public path /elsewhere
		token_auth @public a
		@stranger not token scope admin
		reverse_proxy @stranger $UPSTREAM
	}
}
`

// A ruled gateway is one whose routes depend on rules in every form.
type ruled struct {
	*world

	gateway                  *harness.Gateway
	upstream                 *harness.Upstream
	overlaps, values, before string
}

func newRuled(t *testing.T) *ruled {
	t.Helper()
	r := &ruled{
		world: attacked(t), upstream: harness.NewUpstream(t),
		overlaps: harness.FreeAddress(t), values: harness.FreeAddress(t), before: harness.FreeAddress(t),
	}
	r.gateway = harness.Start(t, ruleCaddyfile, "$ISSUER_A", r.a.URL, "$UPSTREAM", r.upstream.Address,
		"$OVERLAPS", "http://"+r.overlaps, "$VALUES", "http://"+r.values, "$BEFORE", "http://"+r.before)
	r.gateway.Await("/", r.token(nil), http.StatusOK)
	return r
}

// passes tells whether a request reaches the upstream.
func (r *ruled) passes(site, target, token string, header ...string) (harness.Answer, bool) {
	r.t.Helper()
	reached := len(r.upstream.Received())
	lines := append([]string{"GET " + target + " HTTP/1.1", "Authorization: Bearer " + token, "Connection: close"}, header...)
	answer := r.raw(site, lines...)
	return answer, len(r.upstream.Received()) > reached
}

// However a path is spelled: where a rule depends on it, what reaches the
// upstream without the scope is for the upstream another path as well.
func TestAttack16PathInRules(t *testing.T) {
	r := newRuled(t)
	lacking, holding := r.token(nil), r.token(map[string]any{"scope": "admin"})
	for _, guarded := range []string{"guarded", "matched", "expressed", "ruled"} {
		t.Run(guarded, func(t *testing.T) {
			if answer, passed := r.passes(r.gateway.URL, "/"+guarded+"/1", holding); !passed {
				t.Fatalf("%d with the scope", answer.Status)
			}
			for _, spelling := range []string{
				"/G/1", "//G/1", "/./G/1", "/x/../G/1", "/x/%2e%2e/G/1", "/%67/1", "/G%2f1", "/G%2F1", "/G/;a/1", "/G;a/1", "/;a/G/1",
				"/G\\1", "\\G\\1", "/x/..%2fG/1", "/x/..;/G/1", "/G/../G/1", "/G//1", "/G/%2e/1", "/G/1?", "/G/1#x", "/G/%00", "/G/1%0a",
				"/%2e%2e/G/1", "///G///1", "/G/..", "/%2fG/1", "/%5cG%5c1", "/x%2f..%2fG%2f1", "http://h/G/1", "/x/..\\G/1", "/.../G/1", "G/1", "*",
			} {
				for _, word := range []string{guarded, strings.ToUpper(guarded), "%" + hexOf(guarded[0]) + guarded[1:]} {
					target := strings.ReplaceAll(spelling, "G", word)
					answer, passed := r.passes(r.gateway.URL, target, lacking)
					if !passed {
						continue
					}
					seen := path.Clean("/" + strings.ToLower(r.upstream.Last(t).Path))
					if strings.HasPrefix(seen, "/"+guarded+"/") {
						t.Errorf("%s: %d, and the upstream saw %q", target, answer.Status, seen)
					}
				}
			}
		})
	}
}

func hexOf(letter byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[letter>>4], digits[letter&15]})
}

// Where two routes by matchers apply, the first alone does, with its rules; where
// none does, nobody gets through.
func TestAttack17OverlappingMatchers(t *testing.T) {
	r := newRuled(t)
	for scope, want := range map[string]bool{
		"read more": true, "write": true, "read write": false, "read": false, "more": false, "": false, "write read more": true, "WRITE": false,
	} {
		if answer, passed := r.passes(r.overlaps, "/", r.token(map[string]any{"scope": scope})); passed != want {
			t.Errorf("scope %q: %d, passed %t", scope, answer.Status, passed)
		}
	}
}

// Claims of another type fulfil no rule, and bring nothing down.
func TestAttack09RulesOnOtherTypes(t *testing.T) {
	r := newRuled(t)
	for target, claims := range map[string]map[string]any{
		"/amr": {"amr": "hwk"}, "/acr": {"acr": "gold"}, "/age": {"auth_time": time.Now().Unix()}, "/actor": {"act": map[string]any{"sub": "robot"}},
	} {
		if target == "/amr" {
			claims = map[string]any{"amr": []string{"hwk"}}
		}
		if answer, passed := r.passes(r.values, target, r.token(claims)); !passed {
			t.Errorf("%s: %d for a token that is good", target, answer.Status)
		}
	}
	for target, claims := range map[string][]map[string]any{
		"/amr":   {{"amr": map[string]any{"hwk": true}}, {"amr": []any{map[string]any{"hwk": 1}, nil, 7}}, {"amr": []any{[]string{"hwk"}}}, {"amr": nil}},
		"/acr":   {{"acr": []string{"gold"}}, {"acr": map[string]any{"gold": 1}}, {"acr": true}, {"acr": nil}, {"acr": "gold "}, {"acr": ""}},
		"/age":   {{"auth_time": "now"}, {"auth_time": -1}, {"auth_time": 1e300}, {"auth_time": []int{1}}, {"auth_time": nil}, {"auth_time": 4102444800}},
		"/actor": {{"act": "robot"}, {"act": []string{"robot"}}, {"act": map[string]any{"sub": []string{"robot"}}}, {"act": map[string]any{}}, {"act": nil}},
		"/equals": {
			{"tenant": []any{"acme", map[string]any{}}}, {"tenant": map[string]any{"acme": 1}}, {"tenant": true}, {"tenant": nil},
		},
	} {
		for _, changes := range claims {
			answer, passed := r.passes(r.values, target, r.token(changes))
			if passed || answer.Status != http.StatusForbidden && answer.Status != http.StatusUnauthorized {
				t.Errorf("%s: %d for %v", target, answer.Status, changes)
			}
		}
	}
}

// Who acted for the subject before, in whatever depth, opens nothing for who acts now
// (RFC 8693, section 4.1).
func TestAttack56FormerActors(t *testing.T) {
	r := newRuled(t)
	robot := map[string]any{"sub": "robot"}
	for _, target := range []string{"/actor", "/agents"} {
		if answer, passed := r.passes(r.values, target, r.token(map[string]any{"act": robot})); !passed {
			t.Errorf("%s: %d for a token that is good", target, answer.Status)
		}
	}
	former := map[string]any{"sub": "mallory", "act": robot}
	for _, act := range []any{former, map[string]any{"act": robot}, map[string]any{"sub": "mallory", "act": former}, map[string]any{"act": []any{robot}}} {
		for _, target := range []string{"/actor", "/agents", "/former"} {
			if answer, passed := r.passes(r.values, target, r.token(map[string]any{"act": act})); passed {
				t.Errorf("%s: %d for act %v", target, answer.Status, act)
			}
		}
	}
}

// What a claim or a header holds is compared and never read: not as an
// expression, not as a placeholder, not as a path.
func TestAttack40TextsAreNotCode(t *testing.T) {
	r := newRuled(t)
	for _, target := range []string{"/equals", "/matcher"} {
		if answer, passed := r.passes(r.values, target, r.token(map[string]any{"tenant": "acme"})); !passed {
			t.Errorf("%s: %d for a token that is good", target, answer.Status)
		}
		for _, tenant := range []string{
			`" == "" || "acme`, `acme" || true || "`, `{http.auth.user.claim.tenant}`, `{env.HOME}`, `"acme"`, "acme\n", `ph(req, "x")`, `true`, "acme\u0000", `{"acme"}`,
		} {
			if answer, passed := r.passes(r.values, target, r.token(map[string]any{"tenant": tenant})); passed {
				t.Errorf("%s: %d for the claim %q", target, answer.Status, tenant)
			}
		}
	}
	for _, target := range []string{"/function", "/rule"} {
		held := r.token(map[string]any{"tenant": []string{"acme", ""}})
		if answer, passed := r.passes(r.values, target, held, "X-Tenant: acme"); !passed {
			t.Errorf("%s: %d for a token that is good", target, answer.Status)
		}
		for _, header := range []string{"X-Other: x", "X-Tenant:", `X-Tenant: " || true || "`, "X-Tenant: {http.auth.user.claim.tenant}", "X-Tenant: acme\r\nX-Tenant: other", "X-Tenant: null"} {
			if answer, passed := r.passes(r.values, target, held, header); passed && !strings.Contains(header, "\r\n") || answer.Status >= 500 {
				t.Errorf("%s: %d, passed %t with %q", target, answer.Status, passed, header)
			}
		}
	}
	// Caddy writes a placeholder into a path as it is, so a rule must say what it
	// may hold.
	if _, passed := r.passes(r.values, "/users/1", r.token(map[string]any{"sub": "alice-1"})); !passed || r.upstream.Last(t).Path != "/users/alice-1/orders" {
		t.Error("a subject that is good does not reach its own path")
	}
	for _, subject := range []string{"../admin?x=", "../../etc", "a/b", "a?b=c", "a#b", "..%2fadmin", "a\r\nb", `\..\admin`, "..", "a\n", ""} {
		if answer, passed := r.passes(r.values, "/users/1", r.token(map[string]any{"sub": subject})); passed {
			t.Errorf("%d: sub %q asked the upstream for %q", answer.Status, subject, r.upstream.Last(t).Path)
		}
	}
}

// A matcher that is asked where no token_auth ran is neither true nor false: what
// is behind `not` is not reached.
func TestAttack54NotBeforeTokenAuth(t *testing.T) {
	r := newRuled(t)
	for _, target := range []string{"/not", "/not-block", "/not-or", "/function", "/skipped"} {
		for name, token := range map[string]string{"good": r.token(map[string]any{"scope": "admin"}), "lacking": r.token(nil), "bad": "x.y.z", "none": ""} {
			before := len(r.gateway.Lines("route is misconfigured"))
			answer, passed := r.passes(r.before, target, token)
			if answer.Status != http.StatusInternalServerError || passed {
				t.Errorf("%s with a %s token: %d, passed %t", target, name, answer.Status, passed)
			}
			harness.Eventually(t, "the log names the place", func() bool { return len(r.gateway.Lines("route is misconfigured")) > before })
			place, _ := r.gateway.Lines("route is misconfigured")[before]["places"].([]any)
			if len(place) != 1 || !strings.Contains(place[0].(string), "Caddyfile:") && !strings.Contains(place[0].(string), "token_scope") {
				t.Errorf("%s: the log names %v", target, place)
			}
		}
	}
}
