package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const limited = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
	}
}
$SITE {
	handle /ip {
		token_limit {http.auth.user.client} 3 1h
		respond "in"
	}
	handle /all {
		token_limit everybody 3 1h
		respond "in"
	}
	handle /auth/* {
		token_auth {
			optional
		}
		handle /auth/client {
			token_limit {http.auth.user.client} 3 1h
			respond "in"
		}
		handle /auth/crowd {
			token_limit {http.auth.user.id} 50 1h
			respond "in"
		}
		handle /auth/plan {
			token_limit {http.auth.user.id} 1 1h {
				when plan pro 3 1h
				when plan trial 2 1h
			}
			respond "in"
		}
		handle /auth/two {
			token_limit {http.auth.user.id} 5 1h
			token_limit "both {http.auth.user.id}" 2 1m
			respond "in"
		}
		handle /auth/pair {
			token_limit {http.auth.user.claim.a}{http.auth.user.claim.b} 1 1h
			respond "in"
		}
		handle /auth/denied {
			token_require scope nobody
			token_limit {http.auth.user.id} 1 1h
			respond "in"
		}
	}
	handle_errors /pages/* {
		respond "page"
	}
}
`

type limitSite struct {
	*harness.Gateway

	idp *harness.AuthServer
}

func startLimited(t *testing.T) limitSite {
	t.Helper()
	idp := harness.NewAuthServer(t)
	// Without error routes the gateway writes its answers itself.
	caddyfile := strings.Replace(limited, "	handle_errors /pages/* {\n		respond \"page\"\n	}\n", "", 1)
	s := limitSite{harness.Start(t, caddyfile, "$IDP", idp.URL), idp}
	s.Await("/auth/pair", s.token(map[string]any{"a": "ready", "b": "ready"}), http.StatusOK)
	return s
}

func (s limitSite) token(claims map[string]any) string { return s.idp.Token(claims) }

// passes asks until it is refused, and returns how often it was not.
func (s limitSite) passes(t *testing.T, path string, ask func(n int) *http.Request) int {
	t.Helper()
	for n := range 20 {
		switch answer := s.Do(ask(n)); answer.Status {
		case http.StatusOK:
		case http.StatusTooManyRequests:
			return n
		default:
			t.Fatalf("GET %s: %d %s", path, answer.Status, answer.Body)
		}
	}
	t.Fatalf("GET %s is never refused", path)
	return 0
}

func (s limitSite) passesAs(t *testing.T, path, token string) int {
	t.Helper()
	return s.passes(t, path, func(int) *http.Request { return s.Request(http.MethodGet, path, token) })
}

func TestLimitAnswers(t *testing.T) {
	s := startLimited(t)
	token := s.token(map[string]any{"client_id": "app"})
	first := s.Get("/auth/client", token).Expect(t, http.StatusOK)
	expectHeader(t, first, "RateLimit-Policy", `"default";q=3;w=3600`)
	expectHeader(t, first, "RateLimit", `"default";r=2;t=1200`)
	s.Get("/auth/client", token).Expect(t, http.StatusOK)
	s.Get("/auth/client", token).Expect(t, http.StatusOK)

	refused := s.Get("/auth/client", token).Expect(t, http.StatusTooManyRequests)
	expectHeader(t, refused, "RateLimit-Policy", `"default";q=3;w=3600`)
	expectHeader(t, refused, "Content-Type", "application/problem+json")
	expectHeader(t, refused, "Cache-Control", "no-store")
	if challenge := refused.Header.Values("WWW-Authenticate"); len(challenge) != 0 {
		t.Errorf("a challenge that would not help: %q", challenge)
	}
	seconds, err := strconv.Atoi(refused.Header.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 1200 {
		t.Errorf("Retry-After: %q", refused.Header.Get("Retry-After"))
	}
	expectHeader(t, refused, "RateLimit", fmt.Sprintf(`"default";r=0;t=%d`, seconds))
	var problem map[string]any
	if err := json.Unmarshal([]byte(refused.Body), &problem); err != nil {
		t.Fatal(err)
	}
	delete(problem, "request_id")
	want := map[string]any{
		"type": "about:blank", "title": "Too Many Requests", "status": 429.0, "detail": "Too many requests: come again later.",
	}
	if diff := cmp.Diff(want, problem); diff != "" {
		t.Errorf("the body (-want +got):\n%s", diff)
	}
	var last map[string]any
	harness.Eventually(t, "the refusal is in the audit trail", func() bool {
		trail := s.Audit()
		if len(trail) > 0 {
			last = trail[len(trail)-1]
		}
		return len(trail) > 0
	})
	if last["msg"] != "denied" || last["directive"] != "token_limit" || last["reason"] != "rate_limited" ||
		last["rule"] != "3 in 1h0m0s" || last["status"] != 429.0 || last["client"] != "app" {
		t.Errorf("the audit trail says %v", last)
	}
	for _, line := range []string{`caddy_gatehouse_limit_total{outcome="allowed"} 4`, `caddy_gatehouse_limit_total{outcome="limited"} 1`} {
		if !strings.Contains(s.Metrics(), line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	call := s.Request(http.MethodPost, "/auth/client", token)
	call.Header.Set("Content-Type", "application/grpc")
	expectHeader(t, s.Do(call), "Grpc-Status", "8") // RESOURCE_EXHAUSTED
}

// Several limits of one route all hold, and each says what is left of it.
func TestLimitsTogether(t *testing.T) {
	s := startLimited(t)
	token := s.token(nil)
	answer := s.Get("/auth/two", token).Expect(t, http.StatusOK)
	expectHeader(t, answer, "RateLimit-Policy", `"default";q=5;w=3600`, `"default-2";q=2;w=60`)
	expectHeader(t, answer, "RateLimit", `"default";r=4;t=720`, `"default-2";r=1;t=30`)
	if n := s.passesAs(t, "/auth/two", token); n != 1 {
		t.Errorf("%d more pass, want 1: the smaller limit", n)
	}
}

func TestLimitByPlan(t *testing.T) {
	s := startLimited(t)
	for name, test := range map[string]struct {
		plan any
		want int
	}{
		"no plan":           {nil, 1},
		"another plan":      {"free", 1},
		"another case":      {"Pro", 1},
		"a plan":            {"pro", 3},
		"the other":         {"trial", 2},
		"both":              {[]string{"trial", "pro"}, 3},
		"one text for both": {"pro trial", 1},
		"an object":         {map[string]any{"pro": true}, 1},
	} {
		if n := s.passesAs(t, "/auth/plan", s.token(map[string]any{"sub": name, "plan": test.plan})); n != test.want {
			t.Errorf("%s: %d pass, want %d", name, n, test.want)
		}
	}
	if n := s.passesAs(t, "/auth/plan", ""); n != 1 {
		t.Errorf("without a token %d pass, want 1", n)
	}
}

// Refusals of what stands before count nothing.
func TestDeniedRequestsAreNotCounted(t *testing.T) {
	s := startLimited(t)
	for range 3 {
		answer := s.Get("/auth/denied", s.token(nil)).Expect(t, http.StatusForbidden)
		if answer.Header.Get("Ratelimit") != "" {
			t.Error("a refusal tells of a limit that it never reached")
		}
	}
}

// Whatever a caller varies, it is counted as the one that it is.
func TestNobodyEscapesALimit(t *testing.T) {
	s := startLimited(t)
	token := func() string { return s.token(map[string]any{"client_id": "app"}) }
	vary := []func(*http.Request){
		func(*http.Request) {},
		func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.9") },
		func(r *http.Request) { r.Header.Set("Forwarded", "for=203.0.113.9") },
		func(r *http.Request) { r.Header.Set("X-Real-IP", "203.0.113.9") },
		func(r *http.Request) { r.Method = http.MethodPost },
		func(r *http.Request) { r.URL.RawQuery = "client_id=other" },
		func(r *http.Request) { r.Header.Set("Client_id", "other") },
		func(r *http.Request) { r.Host = "OTHER.example.com" },
		func(r *http.Request) { r.Header.Set("User-Agent", "another") },
	}
	ask := func(path string, token func() string) func(int) *http.Request {
		return func(n int) *http.Request {
			request := s.Request(http.MethodGet, path, token())
			vary[n%len(vary)](request)
			return request
		}
	}
	// By the client: each request has a token of its own, and other headers.
	if n := s.passes(t, "/auth/client", ask("/auth/client", token)); n != 3 {
		t.Errorf("%d pass, want 3", n)
	}
	// The scheme in another case, the token through another connection: the same client.
	request := s.Request(http.MethodGet, "/auth/client", "")
	request.Header.Set("Authorization", "bEaReR "+token())
	s.Do(request).Expect(t, http.StatusTooManyRequests)
	// Others go on, and one who is named like somebody's address is not that one.
	if n := s.passesAs(t, "/auth/client", s.token(map[string]any{"client_id": "127.0.0.1"})); n != 3 {
		t.Errorf("of another client %d pass, want 3", n)
	}
	// Without a client, and where no token_auth ran: by the address, which a header
	// of the caller's does not change.
	for _, path := range []string{"/auth/client", "/ip"} {
		if n := s.passes(t, path, ask(path, func() string { return "" })); path == "/auth/client" && n != 3 || path == "/ip" && n != 0 {
			t.Errorf("%s: %d pass by the address; both routes have one limit of 3", path, n)
		}
	}
	if n := s.passes(t, "/all", ask("/all", token)); n != 3 {
		t.Errorf("of a key without placeholders %d pass, want 3", n)
	}
	// What parts two claims is not for the caller to move.
	pair := func(a, b string) int {
		return s.Get("/auth/pair", s.token(map[string]any{"a": a, "b": b})).Status
	}
	got := []int{pair("x", "yz"), pair("xy", "z"), pair("x", "yz"), pair("1:x", ""), pair("1", ":x")}
	if want := []int{200, 200, 429, 200, 200}; !slices.Equal(got, want) {
		t.Errorf("pairs of claims: %v, want %v", got, want)
	}
}

// Of 200 callers at once exactly as many pass as the limit says.
func TestLimitUnderConcurrency(t *testing.T) {
	s := startLimited(t)
	if passed := together(t, s.token(nil), "/auth/crowd", s.Gateway); passed != 50 {
		t.Errorf("%d pass, want 50", passed)
	}
}

// together lets 200 callers ask at once, in turn at each gateway, and returns how many
// passed.
func together(t *testing.T, token, path string, gateways ...*harness.Gateway) int64 {
	t.Helper()
	var passed, refused atomic.Int64
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			switch gateways[i%len(gateways)].Get(path, token).Status {
			case http.StatusOK:
				passed.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
			}
		})
	}
	all.Wait()
	if total := passed.Load() + refused.Load(); total != 200 {
		t.Errorf("%d of 200 callers got another answer", 200-total)
	}
	return passed.Load()
}

// A reload gives nobody anew what is used up, and a limit that has changed begins anew.
func TestReloadKeepsCounts(t *testing.T) {
	s := startLimited(t)
	token := s.token(map[string]any{"client_id": "app"})
	if n := s.passesAs(t, "/auth/client", token); n != 3 {
		t.Fatalf("%d pass, want 3", n)
	}
	again := func(from, to string) limitSite {
		t.Helper()
		idp := s.idp
		caddyfile := strings.Replace(limited, "	handle_errors /pages/* {\n		respond \"page\"\n	}\n", "", 1)
		caddyfile = strings.NewReplacer("$IDP", idp.URL, from, to).Replace(caddyfile)
		if err := s.Reload(caddyfile); err != nil {
			t.Fatal(err)
		}
		return s
	}
	// Comments and other lines above move the directive to another line.
	again("$SITE {", "# One\n# Two\n$SITE {\n\theader X-Generation 1")
	s.Get("/auth/client", token).Expect(t, http.StatusTooManyRequests)
	again("{http.auth.user.client} 3 1h", "{http.auth.user.client} 4 1h")
	if n := s.passesAs(t, "/auth/client", token); n != 4 {
		t.Errorf("%d pass, want the 4 of the new limit", n)
	}
}

// Where the server has error routes, they write the answer; the fields are set.
func TestLimitWithErrorRoutes(t *testing.T) {
	gateway := harness.Start(t, "$SITE {\n\ttoken_limit all 1 1h\n\trespond in\n\thandle_errors {\n\t\trespond \"{http.error.message}\" {http.error.status_code}\n\t}\n}\n")
	gateway.Get("/", "").Expect(t, http.StatusOK)
	answer := gateway.Get("/", "").Expect(t, http.StatusTooManyRequests)
	if answer.Body != "Too many requests: come again later." || answer.Header.Get("Retry-After") == "" || answer.Header.Get("Ratelimit") == "" {
		t.Errorf("%v %s", answer.Header, answer.Body)
	}
}
