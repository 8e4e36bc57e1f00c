package handlers

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// requestOf is a request behind a token_auth that let this token pass; nil is a
// caller without one.
func requestOf(app Services, held *token.Token) (*http.Request, *caller) {
	request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	ctx := context.WithValue(request.Context(), caddyhttp.VarsCtxKey, make(map[string]any))
	ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, caddy.NewReplacer())
	who := &caller{auth: &TokenAuth{app: app, challenger: challenger{realm: config.DefaultRealm}}, token: held}
	if held != nil {
		who.issuer = &token.Issuer{Leeway: 30 * time.Second}
	}
	caddyhttp.SetVar(ctx, callerVar, who)
	return request.WithContext(ctx), who
}

// An auditedApp writes its audit trail where tests can read it.
type auditedApp struct {
	hotApp

	log *bytes.Buffer
}

func newAuditedApp() auditedApp {
	log := new(bytes.Buffer)
	trail := audit.NewTrail(slog.New(slog.NewTextHandler(log, nil)))
	return auditedApp{hotApp: hotApp{metrics: (*metrics.Metrics)(nil), trail: trail}, log: log}
}

func mustPolicy(t *testing.T, rules ...policy.Rule) *policy.Policy {
	t.Helper()
	made, err := policy.New(rules)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// A caller without a token is refused by every rule, is told how to begin, and is
// in the audit trail. In shadow it passes, and is marked.
func TestRequireOfAnonymousCaller(t *testing.T) {
	for _, shadow := range []bool{false, true} {
		app := newAuditedApp()
		h := &TokenRequire{
			TokenRequire: config.TokenRequire{Shadow: shadow}, app: app, trail: app.Trail(),
		}
		h.obey(mustPolicy(t, policy.Rule{Kind: policy.Scope, Values: []string{"a"}}))
		request, who := requestOf(app, nil)
		answer, reached := httptest.NewRecorder(), false
		err := h.ServeHTTP(answer, request, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
			reached = true
			return nil
		}))
		if err != nil || reached != shadow || who.shadowed != shadow {
			t.Errorf("shadow %t: reached %t, marked %t, %v", shadow, reached, who.shadowed, err)
		}
		if challenge := answer.Header().Get("WWW-Authenticate"); (challenge == `Bearer realm="gatehouse"`) == shadow {
			t.Errorf("shadow %t: WWW-Authenticate %q", shadow, challenge)
		}
		if scopes := len(who.asked); (scopes == 0) != shadow {
			t.Errorf("shadow %t: %d scopes are in later challenges", shadow, scopes)
		}
		want := map[bool]string{false: "msg=denied", true: "msg=shadowed"}[shadow]
		if line := app.log.String(); !strings.Contains(line, want) || !strings.Contains(line, `rule="scope a"`) {
			t.Errorf("shadow %t: the audit trail says %s", shadow, line)
		}
	}
}

// Only a would-be denial marks the caller.
func TestShadowMarksWhatItWouldRefuse(t *testing.T) {
	app := newAuditedApp()
	h := &TokenRequire{
		TokenRequire: config.TokenRequire{Shadow: true}, app: app, trail: app.Trail(),
	}
	h.obey(mustPolicy(t, policy.Rule{Kind: policy.Scope, Values: []string{"a"}}))
	for scope, marked := range map[string]bool{"a": false, "b": true} {
		request, who := requestOf(app, &token.Token{Scopes: []string{scope}})
		if err := h.ServeHTTP(httptest.NewRecorder(), request, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil {
			t.Fatal(err)
		}
		if who.shadowed != marked {
			t.Errorf("scope %s: marked %t", scope, who.shadowed)
		}
	}
}

func TestAppendPolicy(t *testing.T) {
	rule := func(name, value string) policy.Rule {
		return policy.Rule{Kind: policy.Scope, Values: []string{value}, Policy: name}
	}
	all := appendPolicy([]policy.Rule{rule("", "own")}, []policy.Rule{rule("a", "1"), rule("a", "2"), rule("base", "3")})
	all = appendPolicy(all, []policy.Rule{rule("b", "4"), rule("base", "3")})
	var got []string
	for i := range all {
		got = append(got, all[i].String())
	}
	want := []string{"scope own", "policy a: scope 1", "policy a: scope 2", "policy base: scope 3", "policy b: scope 4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// wellFormed is a challenge as RFC 9110, section 11.6.1, and RFC 6750, section
// 3, have it.
var wellFormed = regexp.MustCompile(`^Bearer( [a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*",?)+$`)

// FuzzChallenges holds that no rule makes a challenge that is not one header of
// one challenge.
func FuzzChallenges(f *testing.F) {
	f.Add("gold", "orders:read", "gatehouse", int64(300))
	f.Add("a\"b", "c\\", "r\r\nX: y", int64(-1))
	f.Add(`", error="x`, `,`, "é\x00", int64(1)<<62)
	f.Fuzz(func(t *testing.T, acr, scope, realm string, age int64) {
		login := policy.StepUp{ACR: []string{acr, acr}, MaxAge: time.Duration(age)}
		speak := challenger{realm: config.DefaultRealm}
		for _, reply := range []answer{
			speak.insufficientAuthentication(login, []string{scope, scope}), speak.insufficientScope([]string{scope}), speak.unauthenticated(),
		} {
			if !wellFormed.MatchString(reply.challenge) {
				t.Errorf("a challenge is %q", reply.challenge)
			}
		}
	})
}
