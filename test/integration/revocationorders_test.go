package integration_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// order asks the admin endpoint for revocations, and returns status and answer.
func order(t *testing.T, gateway *harness.Gateway, method, query, body string, headers ...string) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequest(method, gateway.Admin+"/gatehouse/revocations"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return answer.StatusCode, members
}

// acts are the lines that operators left in the audit trail, without what changes.
func acts(gateway *harness.Gateway) (lines []map[string]any) {
	for _, line := range gateway.Lines("operated") {
		kept := make(map[string]any)
		for _, name := range []string{"act", "kind", "issuer", "reason", "error", "remote_ip"} {
			if value, ok := line[name]; ok {
				kept[name] = value
			}
		}
		lines = append(lines, kept)
	}
	return lines
}

func TestRevokedTokenIsRefused(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	stolen, other := idp.Token(map[string]any{"jti": "stolen-1"}), idp.Token(map[string]any{"jti": "other-1"})
	nameless := idp.Token(map[string]any{"jti": nil})
	gateway.Await("/orders/1", stolen, http.StatusOK)
	gateway.Get("/orders/1", nameless).Expect(t, http.StatusOK)

	body := `{"token": "` + stolen + `", "reason": "posted in a chat"}`
	if status, answer := order(t, gateway, http.MethodPost, "?dry_run", body); status != http.StatusOK || answer["revoked"] != 0.0 || answer["dry_run"] != true {
		t.Errorf("a dry run: %d, %v", status, answer)
	}
	gateway.Get("/orders/1", stolen).Expect(t, http.StatusOK)
	status, answer := order(t, gateway, http.MethodPost, "", body)
	if status != http.StatusOK || answer["revoked"] != 1.0 {
		t.Errorf("%d, %v", status, answer)
	}
	made := answer["revocations"].([]any)[0].(map[string]any)
	if made["kind"] != "jti" || made["value"] != "stolen-1" || made["issuer"] != idp.URL || made["id"] == "" {
		t.Errorf("it was revoked as %v", made)
	}
	gateway.Get("/orders/1", stolen).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", other).Expect(t, http.StatusOK)
	if status, answer := order(t, gateway, http.MethodPost, "", `{"token": "`+nameless+`"}`); status != http.StatusOK {
		t.Errorf("%d, %v", status, answer)
	}
	gateway.Get("/orders/1", nameless).Expect(t, http.StatusUnauthorized)

	want := []map[string]any{
		{"act": "revoke_dry_run", "kind": "jti", "issuer": idp.URL, "reason": "posted in a chat", "remote_ip": "127.0.0.1"},
		{"act": "revoke", "kind": "jti", "issuer": idp.URL, "reason": "posted in a chat", "remote_ip": "127.0.0.1"},
		{"act": "revoke", "kind": "token", "issuer": idp.URL, "remote_ip": "127.0.0.1"},
	}
	harness.Eventually(t, "three acts are in the audit trail", func() bool { return len(acts(gateway)) == len(want) })
	if diff := cmp.Diff(want, acts(gateway)); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{stolen, nameless, stolen[strings.LastIndex(stolen, "."):]} {
		if strings.Contains(gateway.Log(), text) {
			t.Error("a token is in the log")
		}
	}
}

func TestRevokedOpaqueTokenIsRefused(t *testing.T) {
	t.Parallel()
	a := startAsking(t, "", "")
	held, other := a.endpoint.Issue("opaque-canary-1", nil), a.endpoint.Issue("opaque-canary-2", nil)
	a.Await("/", held, http.StatusOK)
	if status, answer := order(t, a.Gateway, http.MethodPost, "", `{"token": "`+held+`"}`); status != http.StatusOK {
		t.Fatalf("%d, %v", status, answer)
	}
	a.Get("/", held).Expect(t, http.StatusUnauthorized)
	a.Get("/", other).Expect(t, http.StatusOK)
	if strings.Contains(a.Log(), held) {
		t.Error("a token is in the log")
	}
}

func TestSubjectLogsInAgain(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/other", idp.Token(nil), http.StatusOK)
	now := time.Now().Unix()
	before, again := idp.Token(map[string]any{"iat": now - 10}), idp.Token(map[string]any{"iat": now + 20})
	if status, answer := order(t, gateway, http.MethodPost, "", `{"kind": "subject", "issuer": "main", "value": "alice"}`); status != http.StatusOK {
		t.Fatalf("%d, %v", status, answer)
	}
	gateway.Get("/other", before).Expect(t, http.StatusUnauthorized)
	gateway.Get("/other", again).Expect(t, http.StatusOK)
	if status, answer := order(t, gateway, http.MethodPost, "", `{"kind": "subject", "issuer": "main", "value": "alice", "all": true}`); status != http.StatusOK {
		t.Fatalf("%d, %v", status, answer)
	}
	gateway.Get("/other", again).Expect(t, http.StatusUnauthorized)
}

func TestBatchOfRevocations(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	var lines strings.Builder
	const many = 2000
	for i := range many {
		fmt.Fprintf(&lines, "{\"kind\": \"jti\", \"issuer\": \"main\", \"value\": \"j%d\"}\n", i)
	}
	if status, answer := order(t, gateway, http.MethodPost, "", lines.String()+`{"kind": "jti"}`); status != http.StatusBadRequest ||
		!strings.Contains(fmt.Sprint(answer["error"]), "order 2001 of 2001: the request is not valid: issuer: it is missing") {
		t.Errorf("%d, %v", status, answer)
	}
	status, answer := order(t, gateway, http.MethodPost, "", lines.String(), "Content-Type", "application/x-ndjson")
	if status != http.StatusOK || answer["revoked"] != float64(many) || len(answer["revocations"].([]any)) != many {
		t.Fatalf("%d, %v", status, answer["error"])
	}
	seen, after := make(map[string]bool), ""
	for {
		status, page := order(t, gateway, http.MethodGet, "?limit=999"+after, "")
		if status != http.StatusOK || page["count"] != float64(many) {
			t.Fatalf("%d, %v", status, page["error"])
		}
		for _, one := range page["revocations"].([]any) {
			seen[one.(map[string]any)["value"].(string)] = true
		}
		if page["next"] == nil {
			break
		}
		after = "&after=" + page["next"].(string)
	}
	if len(seen) != many {
		t.Errorf("%d of %d are listed", len(seen), many)
	}
	if _, page := order(t, gateway, http.MethodGet, "?kind=jti&issuer=main&value=j7", ""); page["count"] != 1.0 {
		t.Errorf("one of them: %v", page)
	}
	gateway.Await("/other", idp.Token(nil), http.StatusOK)
	gateway.Get("/other", idp.Token(map[string]any{"jti": "j1999"})).Expect(t, http.StatusUnauthorized)
}

// TestRevocationOrdersAreRefused looks at the answers of the route; what is wrong with
// an order is for the tests of package admin.
func TestRevocationOrdersAreRefused(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	const good = `{"kind": "jti", "issuer": "main", "value": "j1"}`
	for _, tt := range []struct {
		method, query, body string
		headers             []string
		status              int
		says                string
	}{
		{http.MethodPost, "", `{}`, nil, http.StatusBadRequest, "kind: it is missing"},
		{http.MethodPost, "", `{"token": "opaque"}`, nil, http.StatusBadRequest, "issuer: the token does not show whose it is"},
		{http.MethodPost, "?dryrun", good, nil, http.StatusBadRequest, "the query is not valid: an unknown parameter"},
		{http.MethodPost, "?dry_run=false", good, nil, http.StatusBadRequest, "dry_run: neither nothing nor true"},
		{http.MethodPost, "", `{"kind": "subject", "issuer": "main", "value": "a", "before": "1500-01-01T00:00:00Z"}`, nil, http.StatusBadRequest, "before: it lies before 1970"},
		{http.MethodGet, "?limit=0", "", nil, http.StatusBadRequest, "limit: not a number"},
		{http.MethodDelete, "", "", nil, http.StatusMethodNotAllowed, "use GET, POST"},
		// Caddy's own protection: a page in the operator's browser cannot revoke.
		{http.MethodPost, "", good, []string{"Origin", "https://evil.example"}, http.StatusForbidden, "origin"},
		{http.MethodPost, "", good, []string{"Sec-Fetch-Mode", "no-cors"}, http.StatusBadRequest, "same-origin"},
		{http.MethodGet, "", "", []string{"Origin", "https://evil.example"}, http.StatusForbidden, "origin"},
	} {
		status, answer := order(t, gateway, tt.method, tt.query, tt.body, tt.headers...)
		if status != tt.status || !strings.Contains(fmt.Sprint(answer["error"]), tt.says) {
			t.Errorf("%s %s %v: %d, %v", tt.method, tt.query, tt.headers, status, answer)
		}
	}
	if _, list := order(t, gateway, http.MethodGet, "", ""); list["count"] != 0.0 {
		t.Errorf("something was revoked: %v", list)
	}
	harness.Eventually(t, "orders that came to nothing are in the audit trail", func() bool {
		failed := 0
		for _, act := range acts(gateway) {
			if act["error"] != nil {
				failed++
			}
		}
		return failed == 5
	})
}
