package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A failure is an answer of the token endpoint and what the caller is told.
type failure struct {
	name string
	// after says that the same exchange worked a moment ago, for another caller.
	after  bool
	answer func(form url.Values, w http.ResponseWriter)
	want   expected
	// outcome and serverCode are what the audit trail says.
	outcome, serverCode string
}

func refusalWith(status int, code string) func(url.Values, http.ResponseWriter) {
	return func(_ url.Values, w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "canary-description"})
	}
}

func bare(status int, header ...string) func(url.Values, http.ResponseWriter) {
	return func(_ url.Values, w http.ResponseWriter) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte("canary-body"))
	}
}

func text(body string) func(url.Values, http.ResponseWriter) {
	return func(_ url.Values, w http.ResponseWriter) { _, _ = w.Write([]byte(body)) }
}

// What callers are told.
var (
	toldRejected = expected{
		status: 401, code: "invalid_token", text: "The token is no longer accepted.",
		challenge: `Bearer realm="gatehouse", error="invalid_token", error_description="The token is no longer accepted."`,
	}
	toldStepUp = expected{
		status: 401, code: "insufficient_user_authentication", text: "A newer or stronger login is needed.",
		challenge: `Bearer realm="gatehouse", error="insufficient_user_authentication", error_description="A newer or stronger login is needed."`,
	}
	toldDenied        = expected{status: 403, code: "access_denied", text: "The authorization server does not permit this access."}
	toldMisconfigured = expected{status: 502, code: "exchange_misconfigured", text: "The gateway could not get access on the caller's behalf."}
	toldBadAnswer     = expected{status: 502, code: "server_error", text: "The authorization server gave an answer that cannot be used."}
	toldTimeout       = expected{status: 504, code: "temporarily_unavailable", text: "The authorization server did not answer in time."}
	toldScope         = expected{
		status: 403, code: "insufficient_scope", text: "The access token lacks scope that this request needs.",
		challenge: `Bearer realm="gatehouse", error="insufficient_scope", ` +
			`error_description="The access token lacks scope that this request needs.", scope="orders:read"`,
	}
)

func toldDown(seconds string) expected {
	return expected{status: 503, code: "temporarily_unavailable", text: "The authorization server is not available.", retryAfter: seconds}
}

// failures are the rows of the table of failures that a server can cause; issued
// makes a good answer to be spoilt, and end ends what hangs.
func failures(idp *harness.AuthServer, end <-chan struct{}) []failure {
	spoilt := func(changes map[string]any) func(url.Values, http.ResponseWriter) {
		return func(form url.Values, w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(idp.Issued(form, changes)) }
	}
	own := func(form url.Values, w http.ResponseWriter) {
		_ = json.NewEncoder(w).Encode(idp.Issued(form, map[string]any{"access_token": form.Get("subject_token")}))
	}
	return []failure{
		{"invalid_grant", false, refusalWith(400, "invalid_grant"), toldRejected, "subject_rejected", "invalid_grant"},
		{"invalid_request, never worked", false, refusalWith(400, "invalid_request"), toldMisconfigured, "config", "invalid_request"},
		{"invalid_request, worked before", true, refusalWith(400, "invalid_request"), toldDenied, "policy_denied", "invalid_request"},
		{"invalid_scope, never worked", false, refusalWith(400, "invalid_scope"), toldMisconfigured, "config", "invalid_scope"},
		{"invalid_scope, worked before", true, refusalWith(400, "invalid_scope"), toldScope, "insufficient_scope", "invalid_scope"},
		{"invalid_target, never worked", false, refusalWith(400, "invalid_target"), toldMisconfigured, "config", "invalid_target"},
		{"invalid_target, worked before", true, refusalWith(400, "invalid_target"), toldDenied, "policy_denied", "invalid_target"},
		{"interaction_required", true, refusalWith(400, "interaction_required"), toldStepUp, "step_up", "interaction_required"},
		{"insufficient_user_authentication", true, refusalWith(401, "insufficient_user_authentication"), toldStepUp, "step_up", "insufficient_user_authentication"},
		{"access_denied with 403", false, refusalWith(403, "access_denied"), toldDenied, "policy_denied", "access_denied"},
		{"access_denied with 401", false, refusalWith(401, "access_denied"), toldDenied, "policy_denied", "access_denied"},
		{"invalid_client", false, refusalWith(401, "invalid_client"), toldMisconfigured, "config", "invalid_client"},
		{"invalid_client, worked before", true, refusalWith(400, "invalid_client"), toldMisconfigured, "config", "invalid_client"},
		{"unauthorized_client", false, refusalWith(400, "unauthorized_client"), toldMisconfigured, "config", "unauthorized_client"},
		{"unsupported_grant_type", false, refusalWith(400, "unsupported_grant_type"), toldMisconfigured, "config", "unsupported_grant_type"},
		{"401 without a code", true, bare(401), toldMisconfigured, "config", ""},
		{"403 without a code", true, bare(403), toldMisconfigured, "config", ""},
		{"404", true, bare(404), toldBadAnswer, "bad_answer", ""},
		{"a code with a line break", true, refusalWith(400, "bad\nlevel=info"), toldBadAnswer, "bad_answer", ""},

		{"429 with Retry-After", true, bare(429, "Retry-After", "7"), toldDown("7"), "as_down", ""},
		{"429 with a long Retry-After", true, bare(429, "Retry-After", "4000"), toldDown("60"), "as_down", ""},
		{"429 without", true, bare(429), toldDown("5"), "as_down", ""},
		{"slow_down", true, refusalWith(400, "slow_down"), toldDown("5"), "as_down", "slow_down"},
		{"temporarily_unavailable", true, refusalWith(400, "temporarily_unavailable"), toldDown("5"), "as_down", "temporarily_unavailable"},
		{"500", true, bare(500), toldDown("5"), "as_down", ""},
		{"503 with invalid_grant", true, refusalWith(503, "invalid_grant"), toldDown("5"), "as_down", "invalid_grant"},
		{"the connection breaks", true, func(url.Values, http.ResponseWriter) { panic(http.ErrAbortHandler) }, toldDown("5"), "as_down", ""},
		{"no answer in time", true, func(url.Values, http.ResponseWriter) { <-end }, toldTimeout, "timeout", ""},

		{"redirect 302", true, bare(302, "Location", idp.URL+"/elsewhere"), toldBadAnswer, "bad_answer", ""},
		{"redirect 307", true, bare(307, "Location", idp.URL+"/elsewhere"), toldBadAnswer, "bad_answer", ""},
		{"redirect 308", true, bare(308, "Location", idp.URL+"/elsewhere"), toldBadAnswer, "bad_answer", ""},
		{"204", true, func(_ url.Values, w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, toldBadAnswer, "bad_answer", ""},
		{"oversize", true, text(`{"access_token":"` + strings.Repeat("a", 64<<10) + `"}`), toldBadAnswer, "bad_answer", ""},
		{"no JSON", true, text("<html>canary-body</html>"), toldBadAnswer, "bad_answer", ""},
		{"a list", true, text("[]"), toldBadAnswer, "bad_answer", ""},
		{"something after the object", true, text(`{"access_token":"a","token_type":"Bearer"}{}`), toldBadAnswer, "bad_answer", ""},
		{"an error with 200", true, text(`{"error":"invalid_grant"}`), toldBadAnswer, "bad_answer", ""},
		{"no access_token", true, spoilt(map[string]any{"access_token": nil}), toldBadAnswer, "bad_answer", ""},
		{"access_token is a number", true, spoilt(map[string]any{"access_token": 1}), toldBadAnswer, "bad_answer", ""},
		{"access_token with a line break", true, spoilt(map[string]any{"access_token": "a\r\nX-Evil: 1"}), toldBadAnswer, "bad_answer", ""},
		{"access_token longer than 16 KiB", true, spoilt(map[string]any{"access_token": strings.Repeat("a", 16<<10+1)}), toldBadAnswer, "bad_answer", ""},
		{"the caller's own token", true, own, toldBadAnswer, "bad_answer", ""},
		{"no token_type", true, spoilt(map[string]any{"token_type": nil}), toldBadAnswer, "bad_answer", ""},
		{"token_type DPoP", true, spoilt(map[string]any{"token_type": "DPoP"}), toldBadAnswer, "bad_answer", ""},
		{"token_type N_A", true, spoilt(map[string]any{"token_type": "N_A"}), toldBadAnswer, "bad_answer", ""},
		{"no issued_token_type", true, spoilt(map[string]any{"issued_token_type": nil}), toldBadAnswer, "bad_answer", ""},
		{"a refresh token", true, spoilt(map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}), toldBadAnswer, "bad_answer", ""},
		{"wider scope", true, spoilt(map[string]any{"scope": "orders:read orders:write"}), toldBadAnswer, "bad_answer", ""},
		{"expired", true, spoilt(map[string]any{"expires_in": 0}), toldBadAnswer, "bad_answer", ""},
		{"expires_in is no number", true, spoilt(map[string]any{"expires_in": "soon"}), toldBadAnswer, "bad_answer", ""},
	}
}

// failuresCaddyfile has an exchange and a route for each failure.
func failuresCaddyfile(count int) string {
	var blocks, routes strings.Builder
	for i := range count {
		fmt.Fprintf(&blocks, "\t\texchange x%d {\n\t\t\tclient gateway\n\t\t\taudience x%d\n\t\t\tscope orders:read\n\t\t}\n", i, i)
		fmt.Fprintf(&routes, "\thandle /x%d {\n\t\ttoken_exchange x%d\n\t\treverse_proxy $UPSTREAM\n\t}\n", i, i)
	}
	return "{\n\tgatehouse {\n\t\tissuer main $IDP {\n\t\t\taudience any\n\t\t}\n" +
		"\t\tclient gateway {\n\t\t\tissuer main\n\t\t\tclient_id gateway\n\t\t\tsecret canary-client-secret\n\t\t\ttimeout 700ms\n\t\t}\n" +
		"\t\tclient gone {\n\t\t\ttoken_endpoint http://127.0.0.1:9/token\n\t\t\tclient_id gateway\n\t\t\tsecret canary-client-secret\n\t\t}\n" +
		"\t\texchange gone {\n\t\t\tclient gone\n\t\t\tsubject_issuer main\n\t\t\taudience gone\n\t\t}\n" +
		blocks.String() + "\t}\n}\n(routes) {\n\ttoken_auth\n" + routes.String() +
		"\thandle /gone {\n\t\ttoken_exchange gone\n\t\treverse_proxy $UPSTREAM\n\t}\n" +
		"}\n$SITE {\n\timport routes\n}\n$ROUTED {\n\timport routes\n\thandle_errors {\n" +
		"\t\theader X-Message \"{http.error.message}\"\n\t\theader X-Code \"{http.auth.error}\"\n\t\theader X-User \"{http.auth.user.id}\"\n" +
		"\t\trespond \"routed {http.error.status_code}\"\n\t}\n}\n"
}

func TestExchangeFailures(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	rows := failures(idp, end)
	routed := "http://" + harness.FreeAddress(t)
	gateway := harness.Start(t, failuresCaddyfile(len(rows)), "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$ROUTED", routed)
	gateway.Await("/", idp.Token(nil), http.StatusOK)

	var mu sync.Mutex
	var now func(url.Values, http.ResponseWriter)
	idp.Answer(func(form url.Values, w http.ResponseWriter) {
		mu.Lock()
		answer := now
		mu.Unlock()
		answer(form, w)
	})
	answerWith := func(answer func(url.Values, http.ResponseWriter)) {
		mu.Lock()
		defer mu.Unlock()
		now = answer
	}
	good := func(form url.Values, w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(idp.Issued(form, nil)) }

	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			path := fmt.Sprintf("/x%d", i)
			if row.after {
				answerWith(good)
				gateway.Get(path, idp.Token(map[string]any{"sub": "bob", "jti": row.name})).Expect(t, http.StatusOK)
			}
			answerWith(row.answer)
			reached, told := len(upstream.Received()), len(gateway.Audit())
			plain, withRoutes := idp.Token(map[string]any{"jti": "1" + row.name}), idp.Token(map[string]any{"jti": "2" + row.name})
			got := gateway.Get(path, plain)
			row.want.expect(t, got, false, http.MethodGet)
			want := row.want
			want.user = "alice"
			want.expect(t, gateway.Do(at(t, gateway, routed, path, withRoutes)), true, http.MethodGet)

			if n := len(upstream.Received()); n != reached {
				t.Errorf("%d requests reached the upstream", n-reached)
			}
			expectNowhere(t, gateway, upstream, got, plain, withRoutes, "canary-client-secret", "canary-description", "canary-body")
			harness.Eventually(t, "the denials are in the audit trail", func() bool { return len(gateway.Audit()) >= told+2 })
			line := gateway.Audit()[told]
			serverCode, _ := line["server_error"].(string)
			if line["rule"] != row.outcome || serverCode != row.serverCode || line["exchange"] != path[1:] || line["target_audience"] != path[1:] {
				t.Errorf("the audit trail says %v", line)
			}
			logged := strings.Count(gateway.Log(), `"msg":"exchange is misconfigured","exchange":"`+path[1:]+`"`)
			if (logged > 0) != (row.outcome == "config") {
				t.Errorf("%d errors for operators about this exchange", logged)
			}
		})
	}
	if n := idp.Hits("/elsewhere"); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}

	t.Run("the server is not there", func(t *testing.T) {
		reached := len(upstream.Received())
		toldDown("5").expect(t, gateway.Get("/gone", idp.Token(nil)), false, http.MethodGet)
		if n := len(upstream.Received()); n != reached {
			t.Error("a request reached the upstream")
		}
	})
}
