package provider

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDevEndpointsAreGuarded(t *testing.T) {
	g := start(t, "", nil)
	for _, path := range []string{pathDevFaults, pathDevToken, pathDevStats} {
		for _, authorization := range []string{"", "Bearer", "Bearer wrong", "Basic " + testFaultsToken, testFaultsToken} {
			request := g.request(http.MethodPost, path, url.Values{"keys": {"rotate"}, "sub": {"alice"}})
			request.Header.Set("Authorization", authorization)
			if status := g.must(request).status; status != http.StatusUnauthorized {
				t.Errorf("%s with %q: %d", path, authorization, status)
			}
		}
	}
}

func TestRandomFaultsTokenIsAnnouncedOnce(t *testing.T) {
	state := NewState("")
	settings := testSettings("http://127.0.0.1:1")
	settings.FaultsToken = ""
	var said []string
	for range 2 { // a second configuration over the same state
		p, err := New(settings, state)
		if err != nil {
			t.Fatal(err)
		}
		p.Announce(func(token string) { said = append(said, token) })
	}
	if len(said) != 1 || len(said[0]) < 20 {
		t.Errorf("said %q", said)
	}
	fixed, err := New(testSettings("http://127.0.0.1:1"), NewState(""))
	if err != nil {
		t.Fatal(err)
	}
	fixed.Announce(func(string) { t.Error("a token that was configured was announced") })
}

// ask sends a client_credentials request.
func (g *rig) ask() reply {
	g.t.Helper()
	return g.asGateway(pathToken, url.Values{"grant_type": {"client_credentials"}})
}

func TestTokenEndpointFaults(t *testing.T) {
	tests := map[string]struct {
		fault url.Values
		check func(t *testing.T, answer reply) bool
	}{
		"status": {url.Values{"status": {"503"}, "headers": {`{"Retry-After":"7"}`}}, func(_ *testing.T, a reply) bool { return a.status == 503 && a.header.Get("Retry-After") == "7" }},
		"error": {url.Values{"error": {"temporarily_unavailable"}, "status": {"500"}}, func(t *testing.T, a reply) bool {
			return a.status == 500 && a.json(t)["error"] == "temporarily_unavailable"
		}},
		"error alone": {url.Values{"error": {"invalid_client"}}, func(_ *testing.T, a reply) bool { return a.status == 401 }},
		"wider scope": {url.Values{"set": {`{"scope":"orders:read admin"}`}}, func(t *testing.T, a reply) bool { return a.json(t)["scope"] == "orders:read admin" }},
		"token_type":  {url.Values{"set": {`{"token_type":"mac"}`}}, func(t *testing.T, a reply) bool { return a.json(t)["token_type"] == "mac" }},
		"missing member": {url.Values{"omit": {"access_token expires_in"}}, func(t *testing.T, a reply) bool {
			m := a.json(t)
			return m["access_token"] == nil && m["expires_in"] == nil && m["token_type"] == "Bearer"
		}},
		"html":      {url.Values{"body": {"html"}}, func(_ *testing.T, a reply) bool { return a.status == 200 && !json.Valid([]byte(a.body)) }},
		"empty":     {url.Values{"body": {"empty"}}, func(_ *testing.T, a reply) bool { return a.status == 200 && a.body == "" }},
		"truncated": {url.Values{"body": {"truncated"}}, func(_ *testing.T, a reply) bool { return len(a.body) > 10 && !json.Valid([]byte(a.body)) }},
		"oversize": {url.Values{"body": {"oversize"}}, func(t *testing.T, a reply) bool {
			return len(a.body) > oversizeBytes && a.json(t)["token_type"] == "Bearer"
		}},
		"redirect": {url.Values{"redirect": {"http://127.0.0.1:1/elsewhere"}}, func(_ *testing.T, a reply) bool {
			return a.status == 307 && a.header.Get("Location") == "http://127.0.0.1:1/elsewhere"
		}},
	}
	g := start(t, "", nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.fault.Set("endpoint", "token")
			test.fault.Set("times", "1")
			g.fault(test.fault)
			if answer := g.ask(); !test.check(t, answer) {
				t.Errorf("%d %v %.300s", answer.status, answer.header, answer.body)
			}
			if answer := g.ask(); answer.status != http.StatusOK || answer.json(t)["token_type"] != "Bearer" || len(answer.body) > 4096 {
				t.Errorf("the fault lasted longer than one request: %d %.300s", answer.status, answer.body)
			}
		})
	}
}

func TestFaultCutsTheConnection(t *testing.T) {
	g := start(t, "", nil)
	g.fault(url.Values{"endpoint": {"jwks"}, "body": {"abort"}})
	if answer, err := g.do(g.request(http.MethodGet, pathJWKS, nil)); err == nil {
		t.Errorf("got an answer: %d", answer.status)
	}
}

func TestFaultBendsTokens(t *testing.T) {
	g := start(t, "", nil)
	g.fault(url.Values{
		"endpoint": {"token"}, "grant": {GrantTokenExchange}, "lifetime": {"-5m"}, "typ": {"JWT"},
		"claims": {`{"aud":"elsewhere","jti":null}`},
	})
	if g.decode(text(g.ask().json(t), "access_token")).claims["aud"] == "elsewhere" {
		t.Error("a fault for one grant hit another")
	}
	answer := g.asGateway(pathToken, url.Values{
		"grant_type": {grantExchange}, "subject_token_type": {tokenTypeAccess}, "subject_token": {g.mint(userToken())}, "audience": {"orders"},
	})
	token := g.decode(text(answer.json(t), "access_token"))
	expired := int64(token.claims["exp"].(float64)) < time.Now().Unix()
	got := []any{token.claims["aud"], token.claims["jti"], token.header.ExtraHeaders["typ"], expired, token.verified}
	if diff := cmp.Diff([]any{"elsewhere", nil, "JWT", true, true}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsElsewhere(t *testing.T) {
	g := start(t, "", nil)
	g.fault(url.Values{"endpoint": {"discovery"}, "set": {`{"issuer":"https://evil.example"}`}})
	if got := g.get(pathDiscovery).json(t)["issuer"]; got != "https://evil.example" {
		t.Errorf("issuer %v", got)
	}
	g.fault(url.Values{"endpoint": {"introspect"}, "status": {"500"}})
	if status := g.asGateway(pathIntrospect, url.Values{"token": {"x"}}).status; status != 500 {
		t.Errorf("introspect: %d", status)
	}
	g.fault(url.Values{"keys": {"hide"}})
	if keys := g.get(pathJWKS).json(t)["keys"]; len(keys.([]any)) != 0 {
		t.Errorf("hidden keys: %v", keys)
	}
	cleared := g.dev(http.MethodDelete, pathDevFaults, nil).json(t)
	if faults, _ := cleared["faults"].([]any); len(faults) != 0 {
		t.Errorf("faults after DELETE: %v", faults)
	}
	if g.get(pathDiscovery).json(t)["issuer"] != g.issuer || len(g.get(pathJWKS).json(t)["keys"].([]any)) != 1 {
		t.Error("DELETE did not put things right")
	}
}

func TestKeyRotation(t *testing.T) {
	tests := map[string]struct{ oldStays bool }{"rotate": {true}, "replace": {false}}
	for action, test := range tests {
		t.Run(action, func(t *testing.T) {
			g := start(t, "", nil)
			before := g.mint(userToken())
			g.fault(url.Values{"keys": {action}})
			after, late := g.decode(g.mint(userToken())), g.decode(g.mint(userToken("key", "retired")))
			old := g.decode(before)
			if !after.verified || old.header.KeyID == after.header.KeyID || old.verified != test.oldStays {
				t.Errorf("new verified %v, old verified %v", after.verified, old.verified)
			}
			if late.header.KeyID != old.header.KeyID {
				t.Error("key=retired did not sign with the old key")
			}
		})
	}
}

func TestDelayEndsWithTheClient(t *testing.T) {
	tests := map[string]struct {
		patience, waited time.Duration
		goesOn           bool
	}{
		"patient client":   {time.Minute, 3 * time.Second, true},
		"impatient client": {time.Second, time.Second, false},
	}
	for name, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), test.patience)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			began, fault := time.Now(), &Fault{Delay: duration(3 * time.Second)}
			if goesOn := fault.wait(request); goesOn != test.goesOn || time.Since(began) != test.waited {
				t.Errorf("%s: goes on %v after %v", name, goesOn, time.Since(began))
			}
		})
	}
}

func TestBadFaultsAreRefused(t *testing.T) {
	tests := map[string]url.Values{
		"no endpoint":     {"status": {"500"}},
		"endpoint":        {"endpoint": {"kitchen"}},
		"grant":           {"endpoint": {"token"}, "grant": {"magic"}},
		"status":          {"endpoint": {"token"}, "status": {"99"}},
		"delay":           {"endpoint": {"token"}, "delay": {"soon"}},
		"body":            {"endpoint": {"token"}, "body": {"odd"}},
		"keys":            {"keys": {"melt"}},
		"set":             {"endpoint": {"token"}, "set": {"x=y"}},
		"key":             {"endpoint": {"token"}, "key": {"golden"}},
		"lifetime":        {"endpoint": {"token"}, "lifetime": {"long"}},
		"remote redirect": {"endpoint": {"token"}, "redirect": {"http://198.51.100.7/"}},
	}
	g := start(t, "", nil)
	for name, fields := range tests {
		t.Run(name, func(t *testing.T) {
			if answer := g.dev(http.MethodPost, pathDevFaults, fields); answer.status != http.StatusBadRequest {
				t.Errorf("%d %s", answer.status, answer.body)
			}
		})
	}
}

func TestFaultsAsJSON(t *testing.T) {
	g := start(t, "", nil)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.issuer+pathDevFaults,
		strings.NewReader(`{"endpoint":"token","times":2,"delay":"1ms","set":{"token_type":"mac"},"omit":["scope"],"claims":{"aud":["a","b"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+testFaultsToken)
	if answer := g.must(request); answer.status != http.StatusOK {
		t.Fatalf("%d %s", answer.status, answer.body)
	}
	members := g.ask().json(t)
	aud := g.decode(text(members, "access_token")).claims["aud"]
	if diff := cmp.Diff([]any{"mac", nil, []any{"a", "b"}}, []any{members["token_type"], members["scope"], aud}); diff != "" {
		t.Error(diff)
	}
}

func TestMintedShapes(t *testing.T) {
	g := start(t, "", nil)
	if bare := g.decode(g.mint(userToken("kid", "none", "claims", `{"exp":null}`))); bare.header.KeyID != "" || bare.claims["exp"] != nil {
		t.Errorf("kid %q, exp %v", bare.header.KeyID, bare.claims["exp"])
	}
	if foreign := g.decode(g.mint(userToken("key", "foreign", "kid", "borrowed"))); foreign.verified || foreign.header.KeyID != "borrowed" {
		t.Errorf("foreign %+v", foreign.header)
	}
	if unsigned := g.mint(userToken("alg", "none")); !strings.HasSuffix(unsigned, ".") || strings.Count(unsigned, ".") != 2 {
		t.Errorf("unsigned %q", unsigned)
	}
	if answer := g.dev(http.MethodPost, pathDevToken, userToken("key", "retired")); answer.status != http.StatusBadRequest {
		t.Errorf("a retired key before any rotation: %d", answer.status)
	}
}

func TestStats(t *testing.T) {
	g := start(t, "", nil)
	subject := g.mint(userToken())
	g.get(pathDiscovery)
	g.get(pathJWKS)
	g.get(pathJWKS)
	g.ask()
	g.asGateway(pathToken, url.Values{
		"grant_type": {grantExchange}, "subject_token_type": {tokenTypeAccess}, "subject_token": {subject}, "audience": {"payroll"},
	})
	answer := g.dev(http.MethodGet, pathDevStats, nil)
	var stats Stats
	if err := json.Unmarshal([]byte(answer.body), &stats); err != nil {
		t.Fatal(err)
	}
	want := Stats{
		Requests: map[string]int{"discovery": 1, "jwks": 2, "token": 2},
		Grants:   map[string]int{"client_credentials": 1, grantExchange: 1},
		TokenRequests: []TokenRequest{
			{Parameters: []string{"grant_type"}, Values: map[string][]string{"grant_type": {"client_credentials"}}, ClientAuth: "basic", Status: 200},
			{
				Parameters: []string{"audience", "grant_type", "subject_token", "subject_token_type"},
				Values:     map[string][]string{"audience": {"payroll"}, "grant_type": {grantExchange}, "subject_token_type": {tokenTypeAccess}},
				ClientAuth: "basic", Status: 400,
			},
		},
	}
	if diff := cmp.Diff(want, stats); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(answer.body, subject) || strings.Contains(answer.body, "gateway secret") {
		t.Error("a secret is in the statistics")
	}
	g.dev(http.MethodDelete, pathDevStats, nil)
	if body := g.dev(http.MethodGet, pathDevStats, nil).body; !strings.Contains(body, `"requests":{}`) {
		t.Errorf("after a reset: %s", body)
	}
}

func TestStatsAreBounded(t *testing.T) {
	c := newCounters()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxRecords {
		c.begin(endpointToken, url.Values{"grant_type": {strings.Repeat("x", i)}}, request)(400)
	}
	stats := c.snapshot()
	longest := slices.MaxFunc(stats.TokenRequests, func(a, b TokenRequest) int {
		return len(a.Values["grant_type"][0]) - len(b.Values["grant_type"][0])
	})
	if len(stats.Grants) > maxRecords || len(stats.TokenRequests) != maxRecords || len(longest.Values["grant_type"][0]) > maxRecordedValue {
		t.Errorf("%d grants, %d requests", len(stats.Grants), len(stats.TokenRequests))
	}
}
