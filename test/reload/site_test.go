package reload_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// configuration is what a site has; fields change from one reload to the next.
type configuration struct {
	generation int
	secret     string
	scope      string
	leeway     string
	extra      string // further global options, ended by a line break
	without    bool   // without Gatehouse
}

func (c configuration) caddyfile() string {
	if c.without {
		return "{\n\tgrace_period 20s\n}\n$SITE {\n\theader X-Generation " + fmt.Sprint(c.generation) + "\n\trespond \"open\"\n}\n"
	}
	if c.secret == "" {
		c.secret = harness.ClientSecret
	}
	if c.scope == "" {
		c.scope = "orders:read"
	}
	if c.leeway == "" {
		c.leeway = "30s"
	}
	return strings.NewReplacer(
		"$GENERATION", fmt.Sprint(c.generation), "$SECRET", c.secret, "$SCOPE", c.scope, "$LEEWAY", c.leeway, "$EXTRA", c.extra,
	).Replace(`{
	grace_period 20s
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
			leeway $LEEWAY
		}
		client gateway {
			issuer main
			client_id gateway
			secret $SECRET
			timeout 20s
		}
		exchange orders {
			client gateway
			audience orders
			scope $SCOPE
		}
$EXTRA	}
}
$SITE {
	header X-Generation $GENERATION
	token_auth
	handle /orders/* {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /exchanged {
		token_exchange orders
		respond "in"
	}
	handle {
		respond "in"
	}
}
`)
}

type site struct {
	*harness.Gateway

	idp      *harness.AuthServer
	upstream *harness.Upstream
	token    string
	tb       testing.TB
}

// Get asks for a path with a bearer token.
func (s site) Get(path, token string) harness.Answer {
	s.tb.Helper()
	answer, err := patient(s.Request(http.MethodGet, path, token))
	if err != nil {
		s.tb.Errorf("GET %s was lost: %v", path, err)
	}
	return answer
}

// patient sends a GET, and once more if the connection breaks before there is an
// answer, up to five times, as every client does. Each of Caddy's configurations
// has a socket of its own at a TCP port, and the system resets who waits at the
// old one when it closes, with Gatehouse and without.
func patient(request *http.Request) (answer harness.Answer, err error) {
	for range 5 {
		if answer, err = attempt(request); err == nil {
			break
		}
	}
	return answer, err
}

func attempt(request *http.Request) (harness.Answer, error) {
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return harness.Answer{}, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return harness.Answer{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}, err
}

// start starts a site with the first configuration, its keys fetched and one
// exchange made.
func start(t *testing.T) site { return startAt(t, "/orders/1") }

func startAt(t *testing.T, path string) site {
	t.Helper()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, configuration{}.caddyfile(), "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	s := site{gateway, idp, upstream, idp.Token(nil), t}
	gateway.Await(path, s.token, http.StatusOK)
	s.expectFetched(t, 1, 1)
	return s
}

// answers asks so many times and returns the generation that answered, all that did if
// there were several.
func (s site) answers(t *testing.T, times int) string {
	t.Helper()
	var all []string
	for range times {
		generation := s.Get("/orders/1", s.token).Expect(t, http.StatusOK).Header.Get("X-Generation")
		if !slices.Contains(all, generation) {
			all = append(all, generation)
		}
	}
	return strings.Join(all, " and ")
}

// reload changes the configuration, which must be accepted.
func (s site) reload(t *testing.T, c configuration) {
	t.Helper()
	if err := s.Reload(c.caddyfile()); err != nil {
		t.Fatalf("reloading: %v", err)
	}
	// The server of the old configuration may accept one more connection while it
	// shuts down.
	harness.Eventually(t, fmt.Sprintf("generation %d answers", c.generation), func() bool {
		return s.Get("/", s.token).Header.Get("X-Generation") == fmt.Sprint(c.generation)
	})
}

// expectFetched fails the test unless the key set was fetched and tokens were
// exchanged that often since the beginning.
func (s site) expectFetched(t *testing.T, keySets, exchanges int) {
	t.Helper()
	if n := s.idp.Hits("/jwks"); n != keySets {
		t.Errorf("%d fetches of the key set, want %d", n, keySets)
	}
	if n := len(s.idp.Forms()); n != exchanges {
		t.Errorf("%d exchanges, want %d", n, exchanges)
	}
}
