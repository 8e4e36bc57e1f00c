package integration_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// TestStatusShowsWhatChanges brings the gateway into trouble of each kind, and finds it in
// what the admin API and the command show.
func TestStatusShowsWhatChanges(t *testing.T) {
	t.Parallel()
	idp, other, upstream, hook := harness.NewAuthServer(t), harness.NewAuthServer(t), harness.NewUpstream(t), harness.NewHook(t, "")
	other.Fail(http.StatusServiceUnavailable)
	gateway := harness.Start(t, watchedNode, "$IDP", idp.URL, "$OTHER", other.URL, "$UPSTREAM", upstream.Address,
		"$DEAD", "http://"+harness.FreeAddress(t), "$HOOK", hook.URL)
	alice, bob := idp.Token(map[string]any{"plan": "pro"}), idp.Token(map[string]any{"sub": "canary-bob"})
	gateway.Await("/", alice, http.StatusOK)

	seen, _ := look(t, gateway)
	seen.expectIssuers(t, idp.Key.ID)
	provoke(t, gateway, idp, alice, bob)
	seen, text := look(t, gateway)
	seen.expectExchanges(t)
	seen.expectCounts(t)
	if told := hook.Await(t, "exchange_misconfigured", 1); told.Data["exchange"] != "stock" || told.Data["code"] != "invalid_client" {
		t.Errorf("the event says %v", told.Data)
	}
	if all := hook.Types(); len(all) != 1 {
		t.Errorf("the webhook was told %v", all)
	}

	revokes := `{"kind": "subject", "issuer": "main", "value": "gone"}`
	if answer, err := http.Post(gateway.Admin+"/gatehouse/revocations", "application/json", strings.NewReader(revokes)); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(err)
	}
	idp.Fail(http.StatusServiceUnavailable)
	harness.Eventually(t, "the issuer is shown as down", func() bool {
		seen, _ = look(t, gateway)
		return strings.HasPrefix(seen.problem("issuer main"), "warning: its keys cannot be renewed: unreachable")
	})
	if store := seen.Store; store.Kind != "memory" || !store.Reachable || !store.Revocations.Loaded || store.Revocations.Events != 1 || store.Revocations.ByKind["subject"] != 1 {
		t.Errorf("the store: %+v", store)
	}
	status, said := command(t, gateway, "", "status")
	if status != 2 || !strings.HasPrefix(said, "error: ") || !strings.Contains(said, "! main (") || !strings.Contains(said, "misconfigured") {
		t.Errorf("exit status %d:\n%s", status, said)
	}
	for _, route := range []string{"issuers", "caches", "breakers", "exchanges", "store", "limits", "listeners"} {
		text += lookAt(t, gateway, "/gatehouse/"+route, http.StatusOK)
	}
	issued := upstream.Last(t).Bearer()
	for _, secret := range []string{alice, bob, issued, harness.ClientSecret, "canary-", "gone"} {
		if strings.Contains(text+said, secret) {
			t.Errorf("the status holds %.60q", secret)
		}
	}
	idp.Fail(0)
	other.Fail(0)
	gateway.Await("/", other.Token(nil), http.StatusOK) // who needs a key has it fetched
	harness.Eventually(t, "both issuers are back", func() bool {
		seen, _ = look(t, gateway)
		return seen.problem("issuer") == ""
	})
}

// provoke has an exchange work, one refused, one in vain, and a limit reached.
func provoke(t *testing.T, gateway *harness.Gateway, idp *harness.AuthServer, alice, bob string) {
	t.Helper()
	gateway.Get("/orders/1", alice).Expect(t, http.StatusOK)
	gateway.Get("/orders/1", alice).Expect(t, http.StatusOK)
	idp.AnswerJSON(http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "canary-description"})
	for _, caller := range []string{alice, bob, alice} {
		gateway.Get("/stock/1", caller).Expect(t, http.StatusBadGateway)
	}
	for range 6 {
		gateway.Get("/dead/1", alice).Expect(t, http.StatusServiceUnavailable)
	}
	for range 7 {
		gateway.Get("/limited", bob)
	}
	gateway.Get("/limited", alice).Expect(t, http.StatusOK)
}

// expectIssuers looks at one whose keys are there and one that was down from the start.
func (l *looked) expectIssuers(t *testing.T, kid string) {
	t.Helper()
	if main := find(t, l.Issuers.Items, func(i lookedIssuer) bool { return i.Name == "main" }); main.State != "fresh" || main.Failing ||
		len(main.Keys) != 1 || main.Keys[0].Kid != kid || main.Keys[0].Thumbprint == "" || main.NextRefresh.IsZero() {
		t.Errorf("main: %+v", main)
	}
	if lost := find(t, l.Issuers.Items, func(i lookedIssuer) bool { return i.Name == "other" }); lost.State != "missing" || !lost.Failing || lost.LastError != "unreachable" {
		t.Errorf("other: %+v", lost)
	}
	if said := l.problem("issuer other"); said != "error: its keys have not come yet: unreachable" {
		t.Errorf("the problem of other: %q", said)
	}
}

// expectExchanges looks at one that works, one whose server refuses the client, and one
// whose server is gone.
func (l *looked) expectExchanges(t *testing.T) {
	t.Helper()
	exchanges := func(name string) lookedExchange {
		return find(t, l.Exchanges.Items, func(x lookedExchange) bool { return x.Name == name })
	}
	if x := exchanges("orders"); !x.EverSucceeded || x.Misconfigured || x.LastOutcome != "ok" || x.Issued != 1 {
		t.Errorf("orders: %+v", x)
	}
	if x := exchanges("stock"); x.EverSucceeded || !x.Misconfigured || x.LastOutcome != "config" || x.LastErrorCode != "invalid_client" {
		t.Errorf("stock: %+v", x)
	}
	if x := exchanges("dead"); x.Misconfigured || x.LastOutcome != "as_down" {
		t.Errorf("dead: %+v", x)
	}
	if said := l.problem("exchange stock"); said != "error: the server refuses the gateway or what it asks for: invalid_client; it has never worked" {
		t.Errorf("the problem of stock: %q", said)
	}
	open := find(t, l.Breakers.Items, func(b lookedBreaker) bool { return strings.HasSuffix(b.Endpoint, "/token") && b.State != "closed" })
	if open.Reason != "unreachable" || (open.State == "open") == open.Until.IsZero() {
		t.Errorf("the breaker: %+v", open)
	}
}

// expectCounts looks at memories and limits.
func (l *looked) expectCounts(t *testing.T) {
	t.Helper()
	cache := find(t, l.Caches.Items, func(c lookedCache) bool { return c.Exchange == "orders" })
	if cache.Entries != 1 || cache.Bytes == 0 || cache.Hits != 1 || cache.Misses != 1 || cache.HitRate == nil || *cache.HitRate != 0.5 {
		t.Errorf("the tokens of orders: %+v", cache)
	}
	if tokens := find(t, l.Caches.Items, func(c lookedCache) bool { return c.Kind == "remembered_tokens" }); tokens.Hits < 10 || tokens.Entries != 2 {
		t.Errorf("the remembered tokens: %+v", tokens)
	}
	limited := find(t, l.Limits.Items, func(l lookedLimit) bool { return l.Path == "" })
	if limited.Key != "{http.auth.user.id}" || limited.Allowed != 5 || limited.Refused != 2 || limited.Keys != 1 || limited.Window != "1h" || limited.Counts != "node" {
		t.Errorf("the limit: %+v", limited)
	}
	if paying := find(t, l.Limits.Items, func(l lookedLimit) bool { return l.Path == "plan" }); paying.Allowed != 1 || paying.Refused != 0 {
		t.Errorf("the limit of those who pay: %+v", paying)
	}
}

func find[T any](t *testing.T, all []T, is func(T) bool) T {
	t.Helper()
	i := slices.IndexFunc(all, is)
	if i < 0 {
		t.Fatalf("not among %+v", all)
	}
	return all[i]
}

const quietNode = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
	}
}
$SITE {
	token_auth main
	respond "{http.auth.user.id}"
}
`

func TestStatusOfAGatewayThatIsWell(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, quietNode, "$IDP", idp.URL)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	if status, said := command(t, gateway, "", "status"); status != 0 || !strings.HasPrefix(said, "all is well\n") {
		t.Errorf("exit status %d:\n%s", status, said)
	}
	if status, said := command(t, gateway, "", "status", "--json"); status != 0 || !json.Valid([]byte(said)) || !strings.Contains(said, `"problems":[]`) {
		t.Errorf("exit status %d:\n%s", status, said)
	}
	for path, want := range map[string]int{
		"/gatehouse/issuers?limit=1": http.StatusOK, "/gatehouse/issuers?limit=0": http.StatusBadRequest, "/gatehouse/issuers?limt=1": http.StatusBadRequest,
		"/gatehouse/issuers?offset=7": http.StatusOK, "/gatehouse/limits?offset=-1": http.StatusBadRequest, "/gatehouse/status?limit=1": http.StatusBadRequest,
	} {
		lookAt(t, gateway, path, want)
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		answer := ask(t, gateway, method, "/gatehouse/status", nil)
		if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != http.MethodGet {
			t.Errorf("%s: %d, Allow %q", method, answer.StatusCode, answer.Header.Get("Allow"))
		}
	}
	// Caddy's own protections: a page that somebody opens in a browser, and a name that
	// is made to point to this machine.
	for name, change := range map[string]func(*http.Request){
		"Host":           func(r *http.Request) { r.Host = "evil.example.com" },
		"Origin":         func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.com") },
		"Sec-Fetch-Mode": func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "cors") },
	} {
		if answer := ask(t, gateway, http.MethodGet, "/gatehouse/status", change); answer.StatusCode != http.StatusForbidden {
			t.Errorf("foreign %s: %d", name, answer.StatusCode)
		}
	}
	gateway.Stop()
	if status, said := command(t, gateway, "", "status"); status != 1 {
		t.Errorf("exit status %d without a gateway:\n%s", status, said)
	}
}

func TestStatusWithoutGatehouse(t *testing.T) {
	t.Parallel()
	gateway := harness.Start(t, "$SITE {\n\trespond fine\n}\n")
	said := lookAt(t, gateway, "/gatehouse/status", http.StatusNotFound)
	if !strings.Contains(said, "the running configuration does not use Gatehouse") {
		t.Error(said)
	}
	status, told := command(t, gateway, "", "status")
	if status != 1 || !strings.Contains(told, "404 Not Found: the running configuration does not use Gatehouse") || strings.Contains(told, `{\"`) { // JSON in JSON
		t.Errorf("exit status %d:\n%s", status, told)
	}
}

func ask(t *testing.T, gateway *harness.Gateway, method, path string, change func(*http.Request)) *http.Response {
	t.Helper()
	request, err := http.NewRequest(method, gateway.Admin+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(request)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer
}

// What is minted is asked of nobody, and remembered all the same.
func TestStatusOfMinted(t *testing.T) {
	t.Parallel()
	bench := newMintBench(t, "subject plain")
	alice := bench.caller(nil)
	for _, path := range []string{"/orders/", "/orders/", "/both/", "/fresh/"} {
		bench.Get(path, alice).Expect(t, http.StatusOK)
	}
	seen, _ := look(t, bench.Gateway)
	kept := find(t, seen.Caches.Items, func(c lookedCache) bool { return c.Exchange == "orders" })
	// One for the caller that waited until the gateway served, one for this one.
	if kept.Kind != "issued_tokens" || kept.Entries != 2 || kept.Hits != 2 || kept.Misses != 2 || kept.Bytes == 0 {
		t.Errorf("the tokens of orders: %+v", kept)
	}
	for _, none := range []string{"fresh", "transaction"} {
		if slices.ContainsFunc(seen.Caches.Items, func(c lookedCache) bool { return c.Exchange == none }) {
			t.Errorf("%s has a memory, though nothing of it is kept", none)
		}
	}
}
