package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const twoAsked = `{
	gatehouse {
` + harness.TwoAsked + `	}
}
$SITE {
	token_auth one two
	reverse_proxy $UPSTREAM {
		header_up X-User {http.auth.user.id}
	}
}
`

// A token is shown to the server whose prefix it has, and to nobody on a guess.
func TestPrefixRouting(t *testing.T) {
	one, two, upstream := harness.NewAuthServer(t), harness.NewAuthServer(t), harness.NewUpstream(t)
	first, second := one.Introspects(t), two.Introspects(t)
	gateway := harness.Start(t, twoAsked, "$ONE", one.URL, "$TWO", two.URL, "$UPSTREAM", upstream.Address)
	for _, text := range []string{"one_a", "two_a", "three_a", "One_a", "one"} {
		first.Issue(text, nil)
		second.Issue(text, nil)
	}
	gateway.Get("/", "one_a").Expect(t, http.StatusOK)
	if user := upstream.Last(t).Header.Get("X-User"); user != "one/alice" {
		t.Errorf("X-User = %q", user)
	}
	gateway.Get("/", "two_a").Expect(t, http.StatusOK)
	if user := upstream.Last(t).Header.Get("X-User"); user != "two/alice" {
		t.Errorf("X-User = %q", user)
	}
	for _, text := range []string{"three_a", "One_a", "one"} {
		gateway.Get("/", text).Expect(t, http.StatusUnauthorized)
	}
	if a, b := first.Asked(), second.Asked(); len(a) != 1 || len(b) != 1 || a[0].Get("token") != "one_a" || b[0].Get("token") != "two_a" {
		t.Errorf("the servers saw %v and %v", a, b)
	}
}

// The gateway proves itself by key to the endpoint too.
func TestIntrospectionByKey(t *testing.T) {
	key := tokentest.NewKey(t, "ES256", "client-1")
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, key.PEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	a := startAsking(t, "", "auth private_key_jwt\nkey "+file+" ES256 client-1")
	rule := &harness.AssertionRule{Key: key, Audience: a.idp.URL, Type: "client-authentication+jwt"}
	a.idp.Authenticate(func(r *http.Request) bool { return rule.Accepts(t, r) })
	a.Get("/", a.endpoint.Issue("by-key", nil)).Expect(t, http.StatusOK)
}

// An endpoint that is down is left alone after a few questions, across a reload
// too, and asked again when it is back. Nobody gets in meanwhile.
func TestIntrospectionIsLeftAlone(t *testing.T) {
	a := startAsking(t, "cache_ttl 0s", "")
	token := a.endpoint.Issue("patient", nil)
	a.endpoint.Answer(answering(http.StatusServiceUnavailable, ""))
	for range 15 {
		if answer := a.Get("/", token).Expect(t, http.StatusServiceUnavailable); answer.Header.Get("Retry-After") == "" {
			t.Errorf("header %v", answer.Header)
		}
	}
	asked := len(a.endpoint.Asked())
	if asked > 8 {
		t.Errorf("asked %d times", asked)
	}
	if err := a.Reload(fitOpaque("cache_ttl 0s\nalways", "")); err != nil {
		t.Fatal(err)
	}
	a.Get("/", token).Expect(t, http.StatusServiceUnavailable)
	if now := len(a.endpoint.Asked()); now > asked+1 {
		t.Errorf("asked %d times after the reload", now-asked)
	}
	a.endpoint.Answer(nil)
	a.Await("/", token, http.StatusOK)
}
