package attack_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// What is remembered of one token is never said of another, nor where other rules
// hold.
func TestAttack18VerifiedTokenCache(t *testing.T) {
	w := attacked(t)
	good := w.token(nil)
	for range 2 {
		w.accepted("/a/", good)
	}
	t.Run("common beginning", func(t *testing.T) {
		// Header and issuer are the same, so hundreds of bytes are.
		for _, sub := range []string{"alice", "mallory", "alice2", "alic"} {
			for range 2 {
				got := attacked(t).accepted("/a/", w.token(map[string]any{"sub": sub}))
				if user := got.Header.Get("X-User"); user != "a/"+sub {
					t.Errorf("%s is taken for %s", sub, user)
				}
			}
		}
	})
	t.Run("all but one byte", func(t *testing.T) {
		for _, at := range []int{0, 20, 40, len(good) / 2, len(good) - 44, len(good) - 2, len(good) - 1} {
			altered := []byte(good)
			for _, c := range []byte("ABab01-_") {
				if altered[at] = c; string(altered) != good {
					attacked(t).refused("/a/", string(altered))
				}
			}
		}
		for _, altered := range []string{good[:len(good)-1], good + "A", good[1:], "e" + good, good[:32]} {
			attacked(t).refused("/a/", altered)
		}
	})
	t.Run("another issuer's route", func(t *testing.T) { attacked(t).refused("/b/", good) })
	t.Run("another audience's route", func(t *testing.T) { attacked(t).refused("/other/", good) })
	t.Run("another rule", func(t *testing.T) {
		w := attacked(t)
		w.refusedAs(w.request(http.MethodGet, "/roles/", good), http.StatusForbidden, "")
	})
}

// A key that an issuer withdraws takes with it what was remembered of its tokens.
func TestAttack18TokenOfWithdrawnKey(t *testing.T) {
	idp, next := harness.NewAuthServer(t), tokentest.NewKey(t, "ES256", "next")
	gateway := harness.Start(t, "$SITE {\n\ttoken_auth $IDP {\n\t\taudience any\n\t}\n\trespond in\n}\n", "$IDP", idp.URL)
	old := idp.Token(nil)
	gateway.Await("/", old, http.StatusOK)
	gateway.Get("/", old).Expect(t, http.StatusOK)
	idp.Rotate(next)
	gateway.Get("/", next.Sign(nil, idp.Claims(nil))).Expect(t, http.StatusOK) // an unknown kid renews the set
	gateway.Get("/", old).Expect(t, http.StatusUnauthorized)
}

// subjectOf is whose token the upstream got.
func subjectOf(tb testing.TB, got harness.Received) any {
	tb.Helper()
	return harness.Claims(tb, got.Bearer())["sub"]
}

// An exchanged token belongs to the bytes of the token it was got for, to the
// exchange and to the scopes: not to the subject.
func TestAttack18ExchangedTokenCache(t *testing.T) {
	w := attacked(t)
	const both, one = "orders:read orders:write", "orders:read"
	strong, weak := w.token(map[string]any{"scope": both}), w.token(map[string]any{"scope": one})
	calls := len(w.a.Forms())
	for _, token := range []string{strong, weak, strong, weak} {
		got := harness.Claims(t, w.accepted("/orders/", token).Bearer())
		if want := map[string]string{strong: both, weak: one}[token]; got["scope"] != want {
			t.Errorf("scope %q at the upstream, want %q", got["scope"], want)
		}
	}
	if made := len(w.a.Forms()) - calls; made != 2 {
		t.Errorf("%d exchanges, want one for each token", made)
	}
	issued := make(map[string]bool)
	for _, changes := range []map[string]any{{"sub": "mallory"}, {"client_id": "other"}, {"acr": "1"}, {"jti": "other"}, {"act": map[string]any{"sub": "x"}}} {
		changes["scope"] = both
		got := w.accepted("/orders/", w.a.Token(changes)).Bearer()
		if issued[got] {
			t.Errorf("a token with %v gets another one's", changes)
		}
		issued[got] = true
	}
}

// One token, asked for the same scope, gets each upstream its own.
func TestAttack18ExchangedTokenOfAnotherUpstream(t *testing.T) {
	w := attacked(t)
	token := w.token(map[string]any{"scope": "orders:read"})
	calls := len(w.a.Forms())
	for range 2 {
		if aud := harness.Claims(t, w.accepted("/orders/", token).Bearer())["aud"]; aud != "orders" {
			t.Errorf("the token for orders is for %v", aud)
		}
		if got := w.accepted("/header/", token).Header.Get("X-Upstream-Token"); !strings.HasPrefix(got, "opaque-issued-") {
			t.Errorf("the token for another upstream is %q", got)
		}
	}
	if made := len(w.a.Forms()) - calls; made != 2 {
		t.Errorf("%d exchanges, want one for each upstream", made)
	}
}

// Texts that become one when they are joined stay two.
func TestAttack19Delimiters(t *testing.T) {
	w := attacked(t)
	const api = "https://api.example.com"
	pairs := [][2]map[string]any{
		{{"sub": "a|b", "aud": []string{api, "c"}}, {"sub": "a", "aud": []string{api, "b|c"}}},
		{{"sub": "a", "jti": "b:c"}, {"sub": "a:b", "jti": "c"}},
		{{"sub": "a\x00b", "jti": "c"}, {"sub": "a", "jti": "b\x00c"}},
		{{"sub": "a\n", "jti": "b"}, {"sub": "a", "jti": "\nb"}},
		{{"sub": "a,b", "jti": "c"}, {"sub": "a", "jti": "b,c"}},
	}
	for _, pair := range pairs {
		t.Run(fmt.Sprintf("%q", pair[0]["sub"]), func(t *testing.T) {
			w := attacked(t)
			var issued []string
			for _, claims := range pair {
				got := w.accepted("/orders/", w.token(claims))
				if subject := subjectOf(t, got); subject != claims["sub"] {
					t.Errorf("%q gets the token of %q", claims["sub"], subject)
				}
				issued = append(issued, got.Bearer())
			}
			if issued[0] == issued[1] {
				t.Error("two callers share a token")
			}
		})
	}
	// A scope with a blank is one scope that nobody asks for, and not two.
	for _, scope := range []any{[]string{"orders:read orders:write"}, []string{"x|orders:read"}, []string{"orders:read,orders:write"}, "orders:read,orders:write"} {
		answer := w.get("/orders/", w.token(map[string]any{"scope": scope})).Expect(t, http.StatusForbidden)
		if !strings.Contains(answer.Header.Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("%v: %v", scope, answer.Header)
		}
	}
}

// A claim stays one header of one line, and its elements stay apart.
func TestAttack19ClaimInHeader(t *testing.T) {
	w := attacked(t)
	const evil = "x\r\nX-Evil: 1\r\n\r\nGET /evil HTTP/1.1\r\n\r\n"
	seen := make(map[string]string)
	for name, groups := range map[string]any{
		"two": []string{"a", "b"}, "one with a blank": []string{"a b"}, "with a comma": []string{"a,b"}, "line break": []string{"a\nb"},
		"line break in a text": "a\n b", "evil": evil, "evil list": []string{evil, "b"}, "controls": "a\x00\x7f\u0085b", "object": map[string]any{"a": evil},
	} {
		got := w.accepted("/a/", w.token(map[string]any{"groups": groups, "sub": evil, "email": evil}))
		values := got.Header["X-Groups"]
		if len(values) != 1 || strings.ContainsFunc(values[0], func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%s: X-Groups %q", name, values)
			continue
		}
		if slices.Contains([]string{"two", "one with a blank", "with a comma", "line break"}, name) {
			if other, taken := seen[values[0]]; taken {
				t.Errorf("%s and %s are both %q", name, other, values[0])
			}
			seen[values[0]] = name
		}
		if _, there := got.Header["X-Evil"]; there || got.Path != "/a/" {
			t.Errorf("%s: a claim became a header or a request: %v", name, got.Header)
		}
	}
}

// Nothing between the gateway and the callers may give one the answer of another.
func TestAttack43SharedAnswers(t *testing.T) {
	w := attacked(t)
	defer w.upstream.Respond(nil)
	for upstreams, want := range map[string]string{"": "private", "public, max-age=60": "public, max-age=60", "no-store": "no-store"} {
		w.upstream.Respond(func(rw http.ResponseWriter, r *http.Request) {
			if upstreams != "" {
				rw.Header().Set("Cache-Control", upstreams)
			}
			rw.Header().Add("Vary", "Accept")
			_, _ = rw.Write([]byte("for " + r.Header.Get("X-User")))
		})
		for _, path := range []string{"/a/same", "/orders/same"} {
			for _, sub := range []string{"alice", "bob", "alice"} {
				answer := w.get(path, w.token(map[string]any{"sub": sub})).Expect(t, http.StatusOK)
				if answer.Body != "for a/"+sub {
					t.Errorf("%s gets the answer %q", sub, answer.Body)
				}
				if !slices.Contains(answer.Header["Vary"], "Authorization") || answer.Header.Get("Cache-Control") != want {
					t.Errorf("%s with %q: Vary %q, Cache-Control %q", path, upstreams, answer.Header["Vary"], answer.Header["Cache-Control"])
				}
			}
		}
		refusal := w.refusedAs(w.request(http.MethodGet, "/a/same", ""), http.StatusUnauthorized, challengeMissing)
		if !slices.Contains(refusal.Header["Vary"], "Authorization") {
			t.Errorf("a refusal says Vary %q", refusal.Header["Vary"])
		}
	}
}
