package integration_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const telemetry = `{
	$LOG
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			resource https://orders.example.com
			scope orders:read
		}
	}
}
$SITE {
	tracing {
		span site
	}
	token_auth
	handle /orders/* {
		token_require scope orders:read
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /admin/* {
		token_require scope admin
		reverse_proxy $UPSTREAM
	}
	handle /inline {
		token_exchange {
			client gateway
			audience inline
			scope orders:write
		}
		reverse_proxy $UPSTREAM
	}
	handle {
		respond "in"
	}
}
`

type telemetrySite struct {
	*harness.Gateway

	idp    *harness.AuthServer
	folder string
}

// startTelemetry starts a site whose audit trail has a log of its own with that
// level, or lies in Caddy's default log with none.
func startTelemetry(t *testing.T, level string) telemetrySite {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	folder, log := t.TempDir(), ""
	if level != "" {
		log = "log trail {\n\t\toutput file " + folder + "/trail.log\n\t\tinclude gatehouse.audit\n\t\tlevel " + level + "\n\t}"
	}
	gateway := harness.Start(t, telemetry, "$IDP", idp.URL, "$UPSTREAM", upstream.Address, "$LOG", log)
	harness.Eventually(t, "the first keys have come", func() bool {
		return strings.Contains(gateway.Metrics(), `caddy_gatehouse_keyset_refreshes_total{issuer="`+idp.URL+`",outcome="ok"}`)
	})
	return telemetrySite{gateway, idp, folder}
}

var metricLine = regexp.MustCompile(`(?m)^(caddy_gatehouse_\S+) (\S+)$`)

// metrics are the values of our metrics that changed since they were zero, by
// name and labels, without the histograms' buckets and sums.
func (s telemetrySite) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	values := make(map[string]float64)
	for _, match := range metricLine.FindAllStringSubmatch(s.Metrics(), -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(match[1], "_bucket{") && !strings.HasSuffix(strings.SplitN(match[1], "{", 2)[0], "_sum") {
			values[strings.TrimPrefix(match[1], "caddy_gatehouse_")] = value
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	site := startTelemetry(t, "")
	token := site.idp.Token(nil)
	site.Get("/orders/1", token).Expect(t, http.StatusOK)
	site.Get("/orders/2", token).Expect(t, http.StatusOK)
	site.Get("/inline", token).Expect(t, http.StatusOK)
	site.Get("/admin/1", token).Expect(t, http.StatusForbidden)
	site.Get("/", "").Expect(t, http.StatusUnauthorized)
	site.Get("/", "no-jwt").Expect(t, http.StatusUnauthorized)
	site.Get("/", site.idp.Token(map[string]any{"aud": "canary-label"})).Expect(t, http.StatusUnauthorized)
	site.Get("/", tokentest.NewKey(t, "ES256", "canary-kid").Sign(nil, site.idp.Claims(nil))).Expect(t, http.StatusUnauthorized)
	site.idp.AnswerJSON(http.StatusBadRequest, map[string]any{"error": "access_denied"})
	site.Get("/orders/3", site.idp.Token(map[string]any{"jti": "3"})).Expect(t, http.StatusForbidden)
	site.idp.Fail(http.StatusInternalServerError)
	site.Get("/", tokentest.NewKey(t, "ES256", "another-kid").Sign(nil, site.idp.Claims(nil))).Expect(t, http.StatusServiceUnavailable)

	issuer := `issuer="` + site.idp.URL + `"`
	want := map[string]float64{
		`validations_total{outcome="ok"}`:                                                   5,
		`validations_total{outcome="missing"}`:                                              1,
		`validations_total{outcome="not_a_jwt"}`:                                            1,
		`validations_total{outcome="wrong_audience"}`:                                       1,
		`validations_total{outcome="unknown_key"}`:                                          1,
		`validations_total{outcome="no_keys"}`:                                              1,
		`validation_duration_seconds_count`:                                                 10,
		`decisions_total{outcome="allowed",rule=""}`:                                        3,
		`decisions_total{outcome="denied",rule="scope"}`:                                    1,
		`events_dropped_total`:                                                              0,
		`breaker_open{endpoint="` + site.idp.URL + `/token",server="` + site.idp.URL + `"}`: 0,
		`breaker_open{endpoint="discovery",server="` + site.idp.URL + `"}`:                  0,
		`exchanges_total{exchange="orders",outcome="ok"}`:                                   1,
		`exchanges_total{exchange="orders",outcome="hit"}`:                                  1,
		`exchanges_total{exchange="orders",outcome="policy_denied"}`:                        1,
		`exchanges_total{exchange="inline",outcome="ok"}`:                                   1,
		`exchanges_total{exchange="inline",outcome="hit"}`:                                  0, // there before the first one
		`exchange_duration_seconds_count{exchange="orders"}`:                                3,
		`exchange_duration_seconds_count{exchange="inline"}`:                                1,
		`keyset_refreshes_total{` + issuer + `,outcome="ok"}`:                               2,
		`keyset_refreshes_total{` + issuer + `,outcome="failed"}`:                           1,
		`keyset_age_seconds{` + issuer + `}`:                                                0,
		`keyset_stale{` + issuer + `}`:                                                      0,
		`revocation_loaded`:                                                                 1,
		`revocation_lag_seconds`:                                                            0,
		`revocations_undecodable_total`:                                                     0,
		`revocation_propagation_seconds_count`:                                              0,
		`limit_alone_total`:                                                                 0,
	}
	for _, kind := range revocation.Kinds() {
		want[`revocations{kind="`+string(kind)+`"}`] = 0
	}
	for name, value := range map[string]float64{
		`entries{cache="remembered_tokens",exchange=""}`: 2, `hits_total{cache="remembered_tokens",exchange=""}`: 3,
		`misses_total{cache="remembered_tokens",exchange=""}`: 6, `evictions_total{cache="remembered_tokens",exchange=""}`: 0,
		`max_bytes{cache="remembered_tokens",exchange=""}`: 64 << 20,
		`entries{cache="issued_tokens",exchange="orders"}`: 1, `hits_total{cache="issued_tokens",exchange="orders"}`: 1,
		`misses_total{cache="issued_tokens",exchange="orders"}`: 2, `evictions_total{cache="issued_tokens",exchange="orders"}`: 0,
		`max_bytes{cache="issued_tokens",exchange="orders"}`: 128 << 20,
		`entries{cache="issued_tokens",exchange="inline"}`:   1, `hits_total{cache="issued_tokens",exchange="inline"}`: 0,
		`misses_total{cache="issued_tokens",exchange="inline"}`: 1, `evictions_total{cache="issued_tokens",exchange="inline"}`: 0,
		`max_bytes{cache="issued_tokens",exchange="inline"}`: 128 << 20,
	} {
		want["cache_"+name] = value
	}
	strays := cmpopts.IgnoreMapEntries(func(name string, _ float64) bool {
		return strings.HasPrefix(name, "keyset_age_seconds{"+issuer) || name == "revocation_lag_seconds" || strings.HasPrefix(name, "cache_bytes{")
	})
	if diff := cmp.Diff(want, site.metrics(t), strays); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if age, ok := site.metrics(t)[`keyset_age_seconds{`+issuer+`}`]; !ok || age < 0 || age > 3600 {
		t.Errorf("the key set's age is %v, %t", age, ok)
	}
	if strings.Contains(site.Metrics(), "canary") {
		t.Error("a label holds what a caller wrote")
	}
}

// One line a denial: who, by which client, of which issuer, asked for what, which
// rule said no and why.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	site := startTelemetry(t, "")
	host := strings.TrimPrefix(site.URL, "http://")
	token := site.idp.Token(map[string]any{"act": map[string]any{"sub": "robot"}, "jti": "id-7"})
	known := map[string]any{
		"subject": "alice", "client": "app", "issuer": site.idp.URL, "actor": "robot", "jti": "id-7",
		"audience": "https://api.example.com", "scope": "orders:read orders:write",
	}
	request := map[string]any{"level": "info", "logger": "gatehouse.audit", "msg": "denied", "host": host, "remote_ip": "127.0.0.1"}
	tests := map[string]struct {
		path, token string
		prepare     func()
		want        map[string]any
	}{
		"token_auth, nothing presented": {path: "/", want: map[string]any{
			"directive": "token_auth", "method": "GET", "path": "/", "rule": "missing", "reason": "missing", "status": 401.,
		}},
		"token_auth, nothing verified": {
			path: "/x", token: site.idp.Token(map[string]any{"sub": "canary-unverified", "aud": "canary-unverified", "jti": "canary-unverified"}),
			want: map[string]any{
				"directive": "token_auth", "method": "GET", "path": "/x", "rule": "wrong_audience",
				"reason": "wrong_audience: aud names another API", "status": 401.,
			},
		},
		"token_require": {path: "/admin/1?canary-query=1", token: token, want: merge(known, map[string]any{
			"directive": "token_require", "method": "GET", "path": "/admin/1", "rule": "scope admin",
			"reason": "the token lacks scope admin", "status": 403.,
		})},
		"token_exchange": {
			path: "/orders/1", token: token,
			prepare: func() { site.idp.AnswerJSON(http.StatusForbidden, map[string]any{"error": "access_denied"}) },
			want: merge(known, map[string]any{
				"directive": "token_exchange", "method": "GET", "path": "/orders/1", "rule": "policy_denied", "status": 403.,
				"exchange": "orders", "target_audience": "orders https://orders.example.com", "asked_scope": "orders:read",
				"server_error": "access_denied", "server_status": float64(403), "act_depth": float64(1),
				"server": strings.TrimPrefix(site.idp.URL, "http://"), "server_client": "gateway",
				"reason": "exchanging token: policy_denied: authorization server answered 403, error access_denied",
			}),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.prepare != nil {
				test.prepare()
			}
			before := len(site.Audit())
			answer := site.Get(test.path, test.token)
			harness.Eventually(t, "the audit line is written", func() bool { return len(site.Audit()) > before })
			line := site.Audit()[before]
			if at, _ := line["place"].(string); !strings.Contains(at, "Caddyfile:") {
				t.Errorf("place %q", at)
			}
			if id := problemOf(t, answer)["request_id"]; id != line["request_id"] || id == nil {
				t.Errorf("the caller was told request %v, the trail says %v", id, line["request_id"])
			}
			fingerprint, _ := line["token"].(string)
			if (fingerprint != "") != (test.token != "") || (test.token != "" && strings.Contains(test.token, fingerprint)) {
				t.Errorf("the token's fingerprint is %q", fingerprint)
			}
			ignore := cmpopts.IgnoreMapEntries(func(name string, _ any) bool {
				return name == "ts" || name == "place" || name == "request_id" || name == "token" || name == "duration"
			})
			if diff := cmp.Diff(merge(request, test.want), line, ignore); diff != "" {
				t.Errorf("the line (-want +got):\n%s", diff)
			}
		})
	}
	for _, line := range site.Audit() {
		if line["msg"] != "denied" {
			t.Errorf("unasked, the log holds %v", line)
		}
	}
	log := site.Log()
	for _, secret := range []string{token, "canary"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %.30q", secret)
		}
	}
}

// Grants are written where Caddy's log option asks for them, and only there.
func TestGrantsInTheAuditTrail(t *testing.T) {
	t.Parallel()
	for level, want := range map[string][]string{
		"DEBUG": {"granted token_auth ", "granted token_require ", "granted token_exchange orders", "denied token_require "},
		"INFO":  {"denied token_require "},
	} {
		t.Run(level, func(t *testing.T) {
			site := startTelemetry(t, level)
			token := site.idp.Token(nil)
			site.Get("/orders/1", token).Expect(t, http.StatusOK)
			site.Get("/admin/1", token).Expect(t, http.StatusForbidden)
			var got []string
			harness.Eventually(t, "the denial is written", func() bool {
				got = trail(t, filepath.Join(site.folder, "trail.log"))
				return len(got) > 0 && strings.HasPrefix(got[len(got)-1], "denied")
			})
			if level == "DEBUG" {
				want = append(want[:3:3], "granted token_auth ", want[3])
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the trail (-want +got):\n%s", diff)
			}
		})
	}
}

func trail(tb testing.TB, file string) []string {
	tb.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var lines []string
	for text := range strings.Lines(string(content)) {
		var line struct{ Msg, Directive, Exchange string }
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			return nil // half a line
		}
		lines = append(lines, line.Msg+" "+line.Directive+" "+line.Exchange)
	}
	return lines
}
