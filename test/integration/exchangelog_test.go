package integration_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const logged = `{
	debug
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		client far {
			token_endpoint $FAR/token
			client_id gateway
			secret canary-client-secret
		}
		exchange plain {
			client gateway
			audience plain
			resource https://plain.example.com
			scope orders:read
		}
		exchange acting {
			client gateway
			audience acting
			actor self
		}
		exchange chain {
			client gateway
			audience $FAR
			requested_type jwt
			then {
				grant jwt_bearer
				client far
				audience far
				scope_exact far:read
			}
		}
		exchange own {
			grant client_credentials
			client gateway
			audience own
			scope_exact power
		}
	}
}
$SITE {
	token_auth
	handle /plain {
		token_exchange plain
		reverse_proxy $UPSTREAM
	}
	handle /acting {
		token_exchange acting
		reverse_proxy $UPSTREAM
	}
	handle /chain {
		token_exchange chain
		reverse_proxy $UPSTREAM
	}
	handle /own {
		token_exchange own
		reverse_proxy $UPSTREAM
	}
	respond in
}
`

type tokenAnswer = func(form url.Values, w http.ResponseWriter)

// A loggedExchange is one request and what the audit trail says of its exchange.
type loggedExchange struct {
	name, path string
	claims     map[string]any // nil: the same token as before
	near, far  tokenAnswer    // nil: a good answer
	want       map[string]any
}

func loggedExchanges(near, far string) []loggedExchange {
	two := map[string]any{"sub": "robot", "act": map[string]any{"sub": "agent"}}
	four := map[string]any{"sub": "x", "act": map[string]any{"sub": "y", "act": two}}
	denied := func(server, exchange, target, asked, rule string, status int, more map[string]any) map[string]any {
		line := map[string]any{
			"msg": "denied", "server": server, "server_client": "gateway", "exchange": exchange,
			"target_audience": target, "rule": rule, "status": float64(status),
		}
		if asked != "" {
			line["asked_scope"] = asked
		}
		return merge(line, more)
	}
	granted := func(server, exchange, target, asked, rule string, more map[string]any) map[string]any {
		line := denied(server, exchange, target, asked, rule, 0, nil)
		line["msg"], line["issued_jti"] = "granted", "exchanged"
		delete(line, "status")
		if asked != "" {
			line["granted_scope"] = asked
		}
		return merge(line, more)
	}
	answered := func(status int, code string) map[string]any {
		line := map[string]any{"server_status": float64(status)}
		if code != "" {
			line["server_error"] = code
		}
		return line
	}
	const target, read = "plain https://plain.example.com", "orders:read"
	ended := refusalWith(http.StatusBadRequest, "invalid_grant")
	return []loggedExchange{
		{"granted", "/plain", map[string]any{}, nil, nil, granted(near, "plain", target, read, "ok", nil)},
		{"remembered", "/plain", nil, nil, nil, granted(near, "plain", target, read, "hit", nil)},
		{
			"two act, and the gateway", "/acting",
			map[string]any{"act": two},
			nil, nil,
			granted(near, "acting", "acting", "", "ok", map[string]any{"act_depth": 3.}),
		},
		{
			"too many act", "/acting",
			map[string]any{"act": four},
			nil, nil,
			denied(near, "acting", "acting", "", "chain_too_long", 403, map[string]any{"act_depth": 5.}),
		},
		{"the gateway's own", "/own", map[string]any{"act": two}, nil, nil, granted(near, "own", "own", "power", "ok", nil)},
		{
			"refused", "/plain",
			map[string]any{},
			refusalWith(http.StatusForbidden, "access_denied"), nil,
			denied(near, "plain", target, read, "policy_denied", 403, answered(403, "access_denied")),
		},
		{
			"a code that forges a line", "/plain",
			map[string]any{},
			refusalWith(http.StatusBadRequest, "canary-code\nlevel=error"), nil,
			denied(near, "plain", target, read, "bad_answer", 502, answered(400, "")),
		},
		{
			"a code of 65 letters", "/plain",
			map[string]any{},
			refusalWith(http.StatusBadRequest, strings.Repeat("e", 65)), nil,
			denied(near, "plain", target, read, "bad_answer", 502, answered(400, "")),
		},
		{
			"the first leg refused", "/chain",
			map[string]any{},
			ended, nil,
			denied(near, "chain", "far", "far:read", "subject_rejected", 401, merge(answered(400, "invalid_grant"), map[string]any{"leg": 1.})),
		},
		{
			"the second leg refused", "/chain",
			map[string]any{},
			nil, ended,
			denied(far, "chain", "far", "far:read", "config", 502, merge(answered(400, "invalid_grant"), map[string]any{"leg": 2.})),
		},
		{"both legs", "/chain", map[string]any{}, nil, nil, granted(far, "chain", "far", "far:read", "ok", nil)},
	}
}

// Section 5, log per exchange: who was asked, by which client, for what, what came of
// it and how long it took, how many act for the user, and which leg failed; of grants
// at DEBUG, of denials always, and never a token or secret.
func TestExchangeIsLogged(t *testing.T) {
	t.Parallel()
	idp, far, upstream := harness.NewAuthServer(t), harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, logged, "$IDP", idp.URL, "$FAR", far.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	good := func(form url.Values, w http.ResponseWriter) {
		changes := map[string]any{}
		if form.Get("requested_token_type") == jwtType {
			changes["issued_token_type"], changes["token_type"] = jwtType, "N_A"
		}
		_ = json.NewEncoder(w).Encode(idp.Issued(form, changes))
	}
	var token string
	for _, row := range loggedExchanges(strings.TrimPrefix(idp.URL, "http://"), strings.TrimPrefix(far.URL, "http://")) {
		t.Run(row.name, func(t *testing.T) {
			idp.Answer(good)
			if row.near != nil {
				idp.Answer(row.near)
			}
			far.Answer(row.far)
			if row.claims != nil {
				token = idp.Token(merge(map[string]any{"jti": row.name}, row.claims))
			}
			before := len(exchangeLines(gateway))
			gateway.Get(row.path, token)
			harness.Eventually(t, "the line is written", func() bool { return len(exchangeLines(gateway)) > before })
			line := exchangeLines(gateway)[before]
			if took, _ := line["duration"].(float64); took <= 0 {
				t.Errorf("it took %v seconds", line["duration"])
			}
			got := make(map[string]any)
			for _, name := range []string{
				"msg", "rule", "exchange", "server", "server_client", "target_audience", "asked_scope", "granted_scope",
				"issued_jti", "status", "server_status", "server_error", "act_depth", "leg",
			} {
				if value, ok := line[name]; ok {
					got[name] = value
				}
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("the line (-want +got):\n%s", diff)
			}
		})
	}
	secrets := []string{harness.ClientSecret, "canary", token}
	for _, form := range slices.Concat(idp.Forms(), far.Forms()) {
		for _, name := range []string{"subject_token", "actor_token", "assertion"} {
			if form.Has(name) {
				secrets = append(secrets, form.Get(name))
			}
		}
	}
	for _, got := range upstream.Received() {
		secrets = append(secrets, got.Bearer())
	}
	log := gateway.Log()
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %.40q", secret)
		}
	}
}

// exchangeLines are the audit trail's about exchanges.
func exchangeLines(gateway *harness.Gateway) []map[string]any {
	var lines []map[string]any
	for _, line := range gateway.Audit() {
		if line["directive"] == "token_exchange" {
			lines = append(lines, line)
		}
	}
	return lines
}
