package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// One issuer that is asked as the client with the words of $AUTH, and two routes
// that differ in what they want.
const opaque = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
			introspection {
				client c
$WORDS
			}
		}
		client c {
			issuer main
			client_id gateway
			timeout 1s
$AUTH
		}
	}
}
$SITE {
	handle /other/* {
		token_auth main {
			audience https://other.example.com
		}
		reverse_proxy $UPSTREAM
	}
	handle /admin/* {
		token_auth main
		token_require scope admin
		reverse_proxy $UPSTREAM
	}
	handle {
		token_auth main
		reverse_proxy $UPSTREAM {
			header_up X-User {http.auth.user.id}
		}
	}
}
`

type asking struct {
	*harness.Gateway

	idp      *harness.AuthServer
	endpoint *harness.Introspection
	upstream *harness.Upstream
}

func startAsking(t *testing.T, words, auth string, before ...func(*harness.Introspection)) *asking {
	t.Helper()
	a := &asking{idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t)}
	a.endpoint = a.idp.Introspects(t)
	for _, prepare := range before {
		prepare(a.endpoint)
	}
	a.Gateway = harness.Start(t, fitOpaque(words, auth), "$IDP", a.idp.URL, "$UPSTREAM", a.upstream.Address)
	return a
}

func fitOpaque(words, auth string) string {
	if auth == "" {
		auth = "secret " + harness.ClientSecret
	}
	return strings.NewReplacer("$WORDS", words, "$AUTH", auth).Replace(opaque)
}

// reason is the rule of the newest denial in the audit trail.
func (a *asking) reason() any {
	lines := a.Audit()
	if len(lines) == 0 {
		return nil
	}
	return lines[len(lines)-1]["rule"]
}

func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// What the issuer says of a token, and what the caller is told.
func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	a := startAsking(t, "", "")
	tests := map[string]struct {
		changes map[string]any
		status  int
		reason  string
	}{
		"good":              {nil, 200, ""},
		"without iss, exp":  {map[string]any{"iss": nil, "exp": nil}, 200, ""},
		"not active":        {map[string]any{"active": false}, 401, "inactive"},
		"expired":           {map[string]any{"exp": 1}, 401, "expired"},
		"not yet":           {map[string]any{"nbf": 4102444800}, 401, "not_yet_valid"},
		"wrong audience":    {map[string]any{"aud": "https://x.example.com"}, 401, "wrong_audience"},
		"no audience":       {map[string]any{"aud": nil}, 401, "wrong_audience"},
		"wrong issuer":      {map[string]any{"iss": "https://x.example.com"}, 401, "unknown_issuer"},
		"a sub of numbers":  {map[string]any{"sub": 1}, 401, "bad_claim"},
		"refresh, Keycloak": {map[string]any{"typ": "Refresh"}, 401, "wrong_type"},
		"refresh, Hydra":    {map[string]any{"token_use": "refresh_token"}, 401, "wrong_type"},
		"refresh, by type":  {map[string]any{"token_type": "refresh_token"}, 401, "wrong_type"},
		"an ID token":       {map[string]any{"nonce": "n"}, 401, "wrong_type"},
		"bound to a key":    {map[string]any{"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, 401, "bound_as_bearer"},
		"active as a text":  {map[string]any{"active": "true"}, 503, "introspection_unavailable"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text := a.endpoint.Issue("canary-"+strings.NewReplacer(" ", "-", ",", "").Replace(name), test.changes)
			answer := a.Get("/", text).Expect(t, test.status)
			if unavailable := test.status == 503; unavailable != (answer.Header.Get("Retry-After") != "") {
				t.Errorf("header %v", answer.Header)
			}
			if test.reason != "" {
				harness.Eventually(t, "the audit trail says "+test.reason, func() bool { return fmt.Sprint(a.reason()) == test.reason })
			}
			if test.status == 200 && a.upstream.Last(t).Header.Get("X-User") != "alice" {
				t.Errorf("the upstream got %v", a.upstream.Last(t).Header)
			}
		})
	}
	a.Get("/", "made-up").Expect(t, 401)
	if strings.Contains(a.Log(), "canary") {
		t.Error("a token is in the log")
	}
	if form := a.endpoint.Asked()[0]; form.Get("token_type_hint") != "access_token" || form.Has("client_secret") {
		t.Errorf("asked with %v", form)
	}
}

// Answers that cannot be used: nobody gets in, and the token may be fine.
func TestIntrospectionAnswers(t *testing.T) {
	t.Parallel()
	trap := harness.NewAuthServer(t)
	stolen := trap.Introspects(t)
	for name, answer := range map[string]http.HandlerFunc{
		"huge":      answering(200, `{"active":true,"x":"`+strings.Repeat("x", 1<<20)+`"}`),
		"redirect":  http.RedirectHandler(trap.URL+"/introspect", http.StatusTemporaryRedirect).ServeHTTP,
		"malformed": answering(200, `{"active":true`),
		"twice":     answering(200, `{"active":false,"active":true}`),
		"a page":    answering(200, `<html>`),
		"500":       answering(500, `{"active":true}`),
		"hangs":     func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"drips":     drip,
		"breaks":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"no client": answering(401, `{"error":"invalid_client"}`),
	} {
		t.Run(name, func(t *testing.T) {
			a := startAsking(t, "", "")
			token := a.endpoint.Issue("a-good-one", nil)
			a.endpoint.Answer(answer)
			reply := a.Get("/", token).Expect(t, http.StatusServiceUnavailable)
			if reply.Header.Get("Retry-After") == "" || reply.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("header %v", reply.Header)
			}
			a.endpoint.Answer(nil)
			a.Await("/", token, http.StatusOK)
		})
	}
	if len(stolen.Asked()) != 0 || trap.Hits("/introspect") != 0 {
		t.Error("a redirect was followed")
	}
}

// drip never ends its answer, and never stops sending it.
func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
	}
}

// A remembered answer asks nothing, and is judged anew by each route.
func TestIntrospectionIsRemembered(t *testing.T) {
	t.Parallel()
	a := startAsking(t, "", "")
	token := a.endpoint.Issue("remembered", nil)
	for range 3 {
		a.Get("/", token).Expect(t, http.StatusOK)
		a.Get("/other/", token).Expect(t, http.StatusUnauthorized)
		a.Get("/admin/", token).Expect(t, http.StatusForbidden)
		a.Get("/", "made-up").Expect(t, http.StatusUnauthorized)
	}
	if asked := len(a.endpoint.Asked()); asked != 2 {
		t.Errorf("asked %d times, want once for each token", asked)
	}
	for _, line := range []string{`outcome="active"} 1`, `outcome="inactive"} 1`} {
		if !strings.Contains(a.Metrics(), "caddy_gatehouse_introspections_total{issuer=\""+a.idp.URL+"\","+line) {
			t.Errorf("no metric with %s", line)
		}
	}
	// A reload keeps it, and a shorter cache_ttl counts at once.
	if err := a.Reload(fitOpaque("", "")); err != nil {
		t.Fatal(err)
	}
	a.Get("/", token).Expect(t, http.StatusOK)
	if asked := len(a.endpoint.Asked()); asked != 2 {
		t.Errorf("asked %d times after a reload", asked)
	}
	if err := a.Reload(fitOpaque("cache_ttl 0s", "")); err != nil {
		t.Fatal(err)
	}
	a.Get("/", token).Expect(t, http.StatusOK)
	a.endpoint.Revoke(token)
	a.Get("/", token).Expect(t, http.StatusUnauthorized)
	a.endpoint.Issue(token, nil)
	a.Get("/", token).Expect(t, http.StatusOK)
	if asked := len(a.endpoint.Asked()); asked != 5 {
		t.Errorf("asked %d times with cache_ttl 0s, want 5", asked)
	}
}

// Many who come with one token at once cause one question.
func TestOneIntrospectionForMany(t *testing.T) {
	a := startAsking(t, "", "")
	token := a.endpoint.Issue("popular", nil)
	const callers = 50
	began := make(chan struct{})
	a.endpoint.Answer(func(w http.ResponseWriter, _ *http.Request) {
		close(began) // a second question would panic
		_, _ = w.Write(tokentest.JSON(a.idp.Claims(map[string]any{"active": true})))
	})
	var all sync.WaitGroup
	for range callers {
		all.Go(func() { a.Get("/", token).Expect(t, http.StatusOK) })
	}
	all.Wait()
	<-began
	if asked := len(a.endpoint.Asked()); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// With always a JWT that is revoked is refused, what only the issuer knows of it
// counts, and a JWT that is bad by itself is not shown to anybody.
func TestIntrospectionAlways(t *testing.T) {
	t.Parallel()
	a := startAsking(t, "always\ncache_ttl 0s", "")
	good := a.idp.Token(nil)
	a.Await("/", good, http.StatusUnauthorized) // the issuer does not know it
	a.endpoint.Issue(good, nil)
	a.Get("/", good).Expect(t, http.StatusOK)
	a.endpoint.Revoke(good)
	a.Get("/", good).Expect(t, http.StatusUnauthorized)
	// Keycloak's lightweight tokens: who it is for stands only in the answer.
	light := a.idp.Token(map[string]any{"aud": nil, "sub": nil, "scope": nil, "jti": "light"})
	a.endpoint.Issue(light, map[string]any{"sub": "bob"})
	a.Get("/", light).Expect(t, http.StatusOK)
	if user := a.upstream.Last(t).Header.Get("X-User"); user != "bob" {
		t.Errorf("X-User = %q", user)
	}
	a.endpoint.Issue(light, map[string]any{"aud": "https://x.example.com"})
	a.Get("/", light).Expect(t, http.StatusUnauthorized)
	// The key that the issuer signed into the JWT counts, whatever the answer says.
	holder, another := harness.NewHolder(t), harness.NewHolder(t)
	bound := a.idp.Token(map[string]any{"cnf": holder.Binding(), "jti": "bound"})
	prove := func(who *harness.Holder) harness.Answer {
		return a.Do(who.Prove(a.Request(http.MethodGet, "/", ""), a.URL+"/", bound, ""))
	}
	a.endpoint.Issue(bound, nil)
	prove(holder).Expect(t, http.StatusOK)
	prove(another).Expect(t, http.StatusUnauthorized)
	a.endpoint.Issue(bound, map[string]any{"cnf": another.Binding()})
	prove(holder).Expect(t, http.StatusUnauthorized)
	prove(another).Expect(t, http.StatusUnauthorized)
	asked := len(a.endpoint.Asked())
	thief := tokentest.NewKey(t, "ES256", "k1")
	for _, bad := range []string{thief.Sign(nil, a.idp.Claims(nil)), a.idp.Token(map[string]any{"exp": 1}), good + "x"} {
		a.endpoint.Issue(bad, nil)
		a.Get("/", bad).Expect(t, http.StatusUnauthorized)
	}
	if len(a.endpoint.Asked()) != asked {
		t.Error("the issuer was asked about a bad token")
	}
	a.endpoint.Answer(answering(500, ""))
	a.endpoint.Issue(good, nil)
	a.Get("/", good).Expect(t, http.StatusServiceUnavailable)
}

// Signed answers are asked for where they are offered, and believed only if they
// are the issuer's, and for this gateway.
func TestSignedIntrospection(t *testing.T) {
	t.Parallel()
	a := startAsking(t, "cache_ttl 0s", "", (*harness.Introspection).Sign)
	a.Await("/", a.idp.Token(nil), http.StatusOK) // the keys are there
	thief := tokentest.NewKey(t, "ES256", "k1")
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		status int
	}{
		"good":           {a.endpoint.Signed(nil, nil), 200},
		"not signed":     {nil, 200}, // TLS vouches for it, as it does where nothing is signed
		"another client": {a.endpoint.Signed(nil, map[string]any{"aud": "another"}), 503},
		"another issuer": {a.endpoint.Signed(nil, map[string]any{"iss": "https://x.example.com"}), 503},
		"another typ":    {a.endpoint.Signed(map[string]any{"typ": "at+jwt"}, nil), 503},
		"old":            {a.endpoint.Signed(nil, map[string]any{"iat": 1}), 503},
		"not active":     {a.endpoint.Signed(nil, map[string]any{"token_introspection": map[string]any{"active": false}}), 401},
		"another key": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/token-introspection+jwt")
			_, _ = w.Write([]byte(thief.Sign(map[string]any{"typ": "token-introspection+jwt"}, map[string]any{
				"iss": a.idp.URL, "aud": harness.ClientID, "token_introspection": a.idp.Claims(map[string]any{"active": true}),
			})))
		}, 503},
	} {
		t.Run(name, func(t *testing.T) {
			token := a.endpoint.Issue("signed-"+strings.ReplaceAll(name, " ", "-"), nil)
			a.endpoint.Answer(test.answer)
			a.Get("/", token).Expect(t, test.status)
		})
	}
	for _, accept := range a.endpoint.Accepts() {
		if accept != "application/token-introspection+jwt, application/json" {
			t.Errorf("Accept: %s", accept)
		}
	}
}
