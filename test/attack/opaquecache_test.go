package attack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Two issuers that are asked, as clients of one name and secret, and routes that
// differ in whom they trust and what they want. Their prefixes differ, but each
// would take any token that it is shown.
const twoAsked = `{
	gatehouse {
` + harness.TwoAsked + `		issuer any $ANY {
			audience https://api.example.com
			introspection {
				client any
			}
		}
		client any {
			issuer any
			client_id gateway
			secret canary-client-secret
		}
	}
}
(known) {
	reverse_proxy $UPSTREAM {
		header_up X-User {http.auth.user.id}
		header_up X-Client {http.auth.user.client}
	}
}
$SITE {
	handle /two/* {
		token_auth two
		import known
	}
	handle /any/* {
		token_auth any
		import known
	}
	handle /other/* {
		token_auth one {
			audience https://other.example.com
		}
		import known
	}
	handle /write/* {
		token_auth one
		token_require scope orders:write
		import known
	}
	handle {
		token_auth one two
		import known
	}
}
`

type twoDens struct {
	*harness.Gateway

	one, two, any *harness.Introspection
	upstream      *harness.Upstream
}

func newTwoDens(t *testing.T) *twoDens {
	t.Helper()
	one, two, other := harness.NewAuthServer(t), harness.NewAuthServer(t), harness.NewAuthServer(t)
	d := &twoDens{one: one.Introspects(t), two: two.Introspects(t), any: other.Introspects(t), upstream: harness.NewUpstream(t)}
	d.Gateway = harness.Start(t, twoAsked, "$ONE", one.URL, "$TWO", two.URL, "$ANY", other.URL, "$UPSTREAM", d.upstream.Address)
	return d
}

// user is who the upstream takes the bearer of a token for.
func (d *twoDens) user(t *testing.T, path, token string) string {
	t.Helper()
	d.Get(path, token).Expect(t, http.StatusOK)
	return d.upstream.Last(t).Header.Get("X-User")
}

// What one issuer says of a text is never said of another text, nor by another
// issuer.
func TestAttack18OpaqueTokenOfTwoIssuers(t *testing.T) {
	d := newTwoDens(t)
	const token = "one_same"
	d.one.Issue(token, map[string]any{"sub": "alice"})
	d.any.Issue(token, map[string]any{"sub": "mallory"})
	d.two.Issue(token, map[string]any{"sub": "trap"})
	for range 2 { // the second round comes from the cache
		if user := d.user(t, "/", token); user != "one/alice" {
			t.Errorf("the token is %q at the first issuer", user)
		}
		if user := d.user(t, "/any/", token); user != "any/mallory" {
			t.Errorf("the token is %q at the third issuer", user)
		}
		d.Get("/two/", token).Expect(t, http.StatusUnauthorized)
	}
	if one, two, third := len(d.one.Asked()), len(d.two.Asked()), len(d.any.Asked()); one != 1 || two != 0 || third != 1 {
		t.Errorf("the issuers were asked %d, %d and %d times", one, two, third)
	}
	// The no of one is not that of another.
	d.one.Issue("one_half", nil)
	for range 2 {
		d.Get("/any/", "one_half").Expect(t, http.StatusUnauthorized)
		d.Get("/", "one_half").Expect(t, http.StatusOK)
	}
	beginning := "one_" + strings.Repeat("x", 64)
	for _, sub := range []string{"a", "b", ""} {
		d.one.Issue(beginning+sub, map[string]any{"sub": "user" + sub})
	}
	for range 2 {
		for _, sub := range []string{"a", "b", ""} {
			if user := d.user(t, "/", beginning+sub); user != "one/user"+sub {
				t.Errorf("the token that ends with %q is %q", sub, user)
			}
		}
		d.Get("/", beginning+"c").Expect(t, http.StatusUnauthorized)
	}
}

// A remembered answer opens what the route at hand allows, not what the route did
// that asked; and two tokens of one subject have each their own rights.
func TestAttack18OpaqueTokenAtAnotherRoute(t *testing.T) {
	d := newTwoDens(t)
	weak := d.one.Issue("one_weak", map[string]any{"scope": "orders:read"})
	strong := d.one.Issue("one_strong", map[string]any{"scope": "orders:read orders:write"})
	for range 2 {
		d.Get("/write/", strong).Expect(t, http.StatusOK)
		d.Get("/write/", weak).Expect(t, http.StatusForbidden)
		for _, token := range []string{weak, strong} {
			d.Get("/", token).Expect(t, http.StatusOK)
			d.Get("/other/", token).Expect(t, http.StatusUnauthorized)
		}
	}
	if asked := len(d.one.Asked()); asked != 2 {
		t.Errorf("asked %d times about two tokens", asked)
	}
}

// Texts in a token or in an answer that become one when they are joined stay two.
func TestAttack19OpaqueDelimiters(t *testing.T) {
	d := newTwoDens(t)
	for at, pair := range [][2]struct{ token, sub, client string }{
		{{"one_a", "a|b", "c"}, {"one_a~", "a", "b|c"}},
		{{"one_b/c", "a:b", "c"}, {"one_b.c", "a", "b:c"}},
		{{"one_d=", "a,b", "c"}, {"one_d==", "a", "b,c"}},
	} {
		for range 2 {
			for _, one := range pair {
				d.one.Issue(one.token, map[string]any{"sub": one.sub, "client_id": one.client})
				d.Get("/", one.token).Expect(t, http.StatusOK)
				got := d.upstream.Last(t).Header
				if got.Get("X-User") != "one/"+one.sub || got.Get("X-Client") != one.client {
					t.Errorf("pair %d: %s is %q by %q", at, one.token, got.Get("X-User"), got.Get("X-Client"))
				}
			}
		}
	}
	// Characters that a form gives a meaning to make no second field of it, and
	// arrive as they are.
	d.one.Issue("one_x+/y==", nil)
	for text, status := range map[string]int{
		"one_x+/y==":          http.StatusOK,
		"one_x&token=one_a":   http.StatusUnauthorized,
		"one_x%26token=one_a": http.StatusUnauthorized,
		"one_a;client_id=z#?": http.StatusUnauthorized,
	} {
		before := len(d.one.Asked())
		d.Get("/", text).Expect(t, status)
		forms := d.one.Asked()[before:]
		if len(forms) != 1 || len(forms[0]) != 2 || len(forms[0]["token"]) != 1 || forms[0].Get("token") != text {
			t.Errorf("about %s the issuer was asked %v", text, forms)
		}
	}
}
