package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Point by point what RFC 9068, section 2.2, wants of an access token, and who acts
// for whom.
func TestMint(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	token := b.caller(nil)
	held := harness.Claims(t, token)
	header, claims := b.minted(t, "/orders/1", token)
	if header.Type != "at+jwt" || header.Algorithm != "ES256" || header.KeyID == "" {
		t.Errorf("header %+v", header)
	}
	checkTimes(t, claims, held, 2*time.Minute)
	for _, name := range []string{"jti", "txn"} {
		if id, _ := claims[name].(string); len(id) != 22 {
			t.Errorf("%s %q is not of 128 bits", name, id)
		}
		delete(claims, name)
	}
	if origin, _ := claims["gho"].(string); len(origin) != 84 {
		t.Errorf("the origin is %q", origin)
	}
	delete(claims, "gho")
	gateway := map[string]any{"iss": mintIssuer, "sub": mintIssuer}
	want := map[string]any{
		"iss": mintIssuer, "sub": held["sub"], "aud": "orders", "client_id": mintIssuer, "scope": "orders:read write",
		"act": gateway, "acr": "silver", "tenant": "acme", "app": held["client_id"],
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
	_, claims = b.minted(t, "/fresh/1", token)
	checkTimes(t, claims, held, 30*time.Second)
	if claims["aud"] != "https://stock.example" || claims["act"] != nil || claims["scope"] != nil || claims["tenant"] != nil {
		t.Errorf("impersonation without scope: %v", claims)
	}
	expectNowhere(t, b.Gateway, b.upstream, b.Get("/orders/2", token), token)
	expectNowhere(t, b.Gateway, harness.NewUpstream(t), b.Get("/orders/2", token), b.upstream.Last(t).Bearer())
}

// checkTimes looks at iat and exp and takes them out.
func checkTimes(t *testing.T, claims, held map[string]any, life time.Duration) {
	t.Helper()
	issued, expiry := numberOf(t, claims["iat"]), numberOf(t, claims["exp"])
	now := time.Now().Unix()
	if issued > now || issued < now-15 || expiry > now+int64(life.Seconds()) || expiry <= now || expiry > numberOf(t, held["exp"]) {
		t.Errorf("now %d: iat %d, exp %d, the caller's %v", now, issued, expiry, held["exp"])
	}
	delete(claims, "iat")
	delete(claims, "exp")
}

func numberOf(t *testing.T, value any) int64 {
	t.Helper()
	switch value := value.(type) {
	case float64:
		return int64(value)
	case json.Number:
		whole, err := value.Int64()
		if err != nil {
			t.Fatal(err)
		}
		return whole
	default:
		t.Fatalf("%v is no number", value)
		return 0
	}
}

// One jti serves several requests of one caller, unless cache_entries says off.
func TestMintCache(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	token := b.caller(nil)
	_, first := b.minted(t, "/orders/1", token)
	_, again := b.minted(t, "/orders/2", token)
	_, other := b.minted(t, "/orders/3", b.caller(map[string]any{"jti": "other"}))
	if first["jti"] != again["jti"] || first["jti"] == other["jti"] {
		t.Errorf("jti %v, %v, another token's %v", first["jti"], again["jti"], other["jti"])
	}
	_, one := b.minted(t, "/fresh/1", token)
	_, two := b.minted(t, "/fresh/2", token)
	if one["jti"] == two["jti"] {
		t.Error("cache_entries off, and one jti for two requests")
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	for name, test := range map[string]struct {
		path    string
		changes map[string]any
		status  int
		code    string
	}{
		"none of the scopes":  {"/orders/", map[string]any{"scope": "profile"}, http.StatusForbidden, "insufficient_scope"},
		"no scope":            {"/orders/", map[string]any{"scope": nil}, http.StatusForbidden, "insufficient_scope"},
		"no subject":          {"/orders/", map[string]any{"sub": nil}, http.StatusForbidden, "access_denied"},
		"another actor":       {"/orders/", map[string]any{"may_act": map[string]any{"sub": "other"}}, http.StatusForbidden, "access_denied"},
		"no actor is named":   {"/fresh/", map[string]any{"may_act": map[string]any{}}, http.StatusForbidden, "access_denied"},
		"the gateway's name":  {"/orders/", map[string]any{"sub": mintIssuer}, http.StatusForbidden, "access_denied"},
		"many actors":         {"/orders/", map[string]any{"act": chainOf(4)}, http.StatusForbidden, "access_denied"},
		"shadow would refuse": {"/shadow/", nil, http.StatusForbidden, "access_denied"},
		"past but for leeway": {"/orders/", map[string]any{"exp": time.Now().Add(-10 * time.Second).Unix()}, http.StatusUnauthorized, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			reached := len(b.upstream.Received())
			answer := b.Get(test.path, b.caller(test.changes)).Expect(t, test.status)
			if problem := problemOf(t, answer); problem["error"] != test.code {
				t.Errorf("error %v, want %s", problem["error"], test.code)
			}
			expectHeader(t, answer, "Cache-Control", "no-store")
			if len(b.upstream.Received()) != reached {
				t.Error("the upstream was reached")
			}
		})
	}
	b.Get("/orders/", "").Expect(t, http.StatusUnauthorized)
}

func chainOf(actors int) map[string]any {
	act := map[string]any{"sub": "service"}
	for range actors - 1 {
		act = map[string]any{"sub": "service", "act": act}
	}
	return act
}

// RFC 8693, section 4.1: who acted before is kept inside, the gateway outside.
func TestMintChain(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	_, claims := b.minted(t, "/orders/", b.caller(map[string]any{
		"act": map[string]any{"sub": "agent"}, "may_act": map[string]any{"sub": mintIssuer, "iss": mintIssuer},
	}))
	want := map[string]any{"iss": mintIssuer, "sub": mintIssuer, "act": map[string]any{"sub": "agent"}}
	if diff := cmp.Diff(any(want), claims["act"]); diff != "" || claims["may_act"] != nil {
		t.Errorf("%s, may_act %v", diff, claims["may_act"])
	}
}

func TestMintAnonymous(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	b.Get("/public/", "").Expect(t, http.StatusOK)
	_, claims := harness.Minted(t, b.storage, b.upstream.Last(t).Bearer())
	if claims["sub"] != mintIssuer || claims["scope"] != "catalogue:read" || claims["act"] != nil {
		t.Errorf("anonymous: %v", claims)
	}
	if _, claims = b.minted(t, "/public/", b.caller(nil)); claims["sub"] == mintIssuer {
		t.Error("a caller with a token is taken for nobody")
	}
	if lines := b.Lines("exchange serves callers without a token"); len(lines) != 1 {
		t.Errorf("%d warnings at load", len(lines))
	}
}

// A caller whose token is bound to a key is served as any other: nobody has to show
// the caller's proof to another server.
func TestMintForBoundCallers(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	holder := harness.NewHolder(t)
	token := b.caller(map[string]any{"cnf": holder.Binding()})
	request := b.Request(http.MethodGet, "/orders/dpop", "")
	b.Do(holder.Prove(request, b.URL+"/orders/dpop", token, "")).Expect(t, http.StatusOK)
	_, claims := harness.Minted(t, b.storage, b.upstream.Last(t).Bearer())
	if claims["cnf"] != nil {
		t.Errorf("the upstream's token is bound to the caller's key: %v", claims["cnf"])
	}
	b.Get("/orders/", token).Expect(t, http.StatusUnauthorized)
}

func TestMintBound(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	_, claims := b.minted(t, "/shown/", b.caller(nil))
	if !cmp.Equal(claims["cnf"], any(b.certificate.Binding())) {
		t.Errorf("cnf %v, want %v", claims["cnf"], b.certificate.Binding())
	}
	b.Get("/proved/x", b.caller(nil)).Expect(t, http.StatusOK)
	received := b.upstream.Last(t)
	token, ok := strings.CutPrefix(received.Header.Get("Authorization"), "DPoP ")
	if !ok {
		t.Fatalf("Authorization is not of DPoP: %d bytes", len(received.Header.Get("Authorization")))
	}
	_, claims = harness.Minted(t, b.storage, token)
	judge := newJudge(t)
	proved := &http.Request{Method: received.Method, Host: received.Host, Header: received.Header, URL: &url.URL{Path: received.Path}}
	if !judge.check(proved.WithContext(t.Context()), token) || !cmp.Equal(claims["cnf"], any(map[string]any{"jkt": judge.jkt()})) {
		t.Errorf("cnf %v, and the proof is by %s", claims["cnf"], judge.jkt())
	}
}

// The transaction token goes in a header of its own, exactly once, whatever the
// caller sent under that name.
func TestMintTransactionToken(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	request := b.Request(http.MethodGet, "/txn/1", b.caller(map[string]any{"act": map[string]any{"sub": "agent"}}))
	request.Header["Txn-Token"] = []string{"forged", "twice"}
	request.Header["Txn_token"] = []string{"forged"}
	b.Do(request).Expect(t, http.StatusOK)
	received := b.upstream.Last(t)
	if n := len(received.Header["Txn-Token"]); n != 1 || received.Header.Get("Authorization") != "" || received.Holds("forged") {
		t.Fatalf("%d Txn-Token headers, Authorization of %d bytes", n, len(received.Header.Get("Authorization")))
	}
	header, claims := harness.Minted(t, b.storage, received.Header.Get("Txn-Token"))
	checkTimes(t, claims, claims, time.Minute)
	held := harness.Claims(t, b.caller(nil))
	for _, name := range []string{"jti", "txn"} {
		if id, _ := claims[name].(string); len(id) != 22 {
			t.Errorf("%s %q", name, id)
		}
		delete(claims, name)
	}
	want := map[string]any{
		"iss": mintIssuer, "sub": held["sub"], "aud": "https://trust.example", "scope": "orders:read", "req_wl": mintIssuer,
		"tctx": map[string]any{"tenant": "acme"}, "act": map[string]any{"sub": "agent"},
		"rctx": map[string]any{"iss": b.idp.URL, "client_id": held["client_id"], "acr": "silver"},
	}
	if diff := cmp.Diff(want, claims); diff != "" || header.Type != "txntoken+jwt" {
		t.Errorf("typ %q: %s", header.Type, diff)
	}
	// Access token and transaction token side by side, signed with different keys.
	b.Get("/both/", b.caller(nil)).Expect(t, http.StatusOK)
	received = b.upstream.Last(t)
	access, _ := harness.Minted(t, b.storage, received.Bearer())
	beside, _ := harness.Minted(t, b.storage, received.Header.Get("Txn-Token"))
	if access.Type != "at+jwt" || beside.Type != "txntoken+jwt" || access.KeyID == beside.KeyID {
		t.Errorf("%+v and %+v", access, beside)
	}
}

func TestMintSubjectForms(t *testing.T) {
	t.Parallel()
	for subject, same := range map[string]bool{"subject issuer_scoped": true, "subject pairwise": false} {
		b := newMintBench(t, subject)
		token := b.caller(nil)
		_, orders := b.minted(t, "/orders/", token)
		_, stock := b.minted(t, "/fresh/", token)
		bare := harness.Claims(t, token)["sub"]
		if orders["sub"] == bare || (orders["sub"] == stock["sub"]) != same {
			t.Errorf("%s: sub %v for orders, %v for stock", subject, orders["sub"], stock["sub"])
		}
		if same && orders["sub"] != fmt.Sprint(b.idp.URL, "#", bare) {
			t.Errorf("%s: sub %v", subject, orders["sub"])
		}
	}
}

// A reload keeps the key, and what was minted with it.
func TestMintReload(t *testing.T) {
	t.Parallel()
	b := newMintBench(t, "")
	token := b.caller(nil)
	first, one := b.minted(t, "/orders/", token)
	if err := b.Reload(mintCaddyfile + "\n# another\n"); err != nil {
		t.Fatal(err)
	}
	if second, two := b.minted(t, "/orders/", token); second.KeyID != first.KeyID || one["jti"] != two["jti"] {
		t.Errorf("kid %s and %s, jti %v and %v", first.KeyID, second.KeyID, one["jti"], two["jti"])
	}
}
