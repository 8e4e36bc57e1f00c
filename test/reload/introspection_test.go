package reload_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// asked is a configuration that asks its issuer about opaque tokens. Its fields
// change from one reload to the next; what is empty is as it was at first.
type asked struct {
	generation int
	clientID   string
	secret     string
	endpoint   string
	claims     string // words of the issuer
	other      string // words of the gatehouse block that have nothing to do with it
	audience   string
}

func (a asked) caddyfile() string {
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	return strings.NewReplacer(
		"$GENERATION", fmt.Sprint(a.generation), "$CLIENT_ID", or(a.clientID, harness.ClientID), "$SECRET", or(a.secret, harness.ClientSecret),
		"$ENDPOINT", a.endpoint, "$CLAIMS", a.claims, "$OTHER", a.other, "$AUDIENCE", or(a.audience, "https://api.example.com"),
	).Replace(`{
	gatehouse {
		issuer main $IDP {
			audience $AUDIENCE
			introspection $ENDPOINT {
				client gateway
				cache_ttl 1h
			}
$CLAIMS		}
		client gateway {
			issuer main
			client_id $CLIENT_ID
			secret $SECRET
		}
$OTHER	}
}
$SITE {
	header X-Generation $GENERATION
	token_auth
	respond "{http.auth.user.id}"
}
`)
}

type askingSite struct {
	*harness.Gateway

	idp      *harness.AuthServer
	endpoint *harness.Introspection
}

func startAsked(t *testing.T) *askingSite {
	t.Helper()
	s := &askingSite{idp: harness.NewAuthServer(t)}
	s.endpoint = s.idp.Introspects(t)
	s.idp.Authenticate(func(r *http.Request) bool {
		_, secret, _ := r.BasicAuth()
		return secret == harness.ClientSecret || secret == "another-secret"
	})
	s.Gateway = harness.Start(t, asked{}.caddyfile(), "$IDP", s.idp.URL)
	return s
}

// expect asks with a token, and holds the status and how often the issuer was asked
// in all to what they should be.
func (s *askingSite) expect(t *testing.T, token string, status, questions int) harness.Answer {
	t.Helper()
	answer, err := patient(s.Request(http.MethodGet, "/", token))
	if err != nil {
		t.Fatal(err)
	}
	answer.Expect(t, status)
	if n := len(s.endpoint.Asked()); n != questions {
		t.Errorf("the issuer was asked %d times about %s, want %d", n, token, questions)
	}
	return answer
}

func (s *askingSite) reload(t *testing.T, a asked) {
	t.Helper()
	if err := s.Reload(a.caddyfile()); err != nil {
		t.Fatalf("reloading: %v", err)
	}
	harness.Eventually(t, fmt.Sprintf("generation %d answers", a.generation), func() bool {
		answer, err := patient(s.Request(http.MethodGet, "/", ""))
		return err == nil && answer.Header.Get("X-Generation") == fmt.Sprint(a.generation)
	})
}

// What an issuer said, yes or no, outlives every reload that leaves alone whom it
// was asked as, where, and how its answers are read.
func TestIntrospectionOutlivesAReload(t *testing.T) {
	s := startAsked(t)
	good := s.endpoint.Issue("good-token", map[string]any{"exp": 4102444800})
	s.expect(t, good, http.StatusOK, 1)
	for generation, change := range []asked{
		{}, {other: "\t\ttoken_cache 10 1MiB\n"}, {claims: "\t\t\tleeway 1m\n"},
		// A secret that rotates is no other client.
		{secret: "another-secret"}, {},
	} {
		change.generation = generation + 1
		// Made anew each time: a no is remembered for ten seconds only, and this test
		// may have to wait.
		bad := fmt.Sprintf("bad-token-%d", generation)
		asked := len(s.endpoint.Asked())
		s.expect(t, bad, http.StatusUnauthorized, asked+1)
		s.reload(t, change)
		s.expect(t, good, http.StatusOK, asked+1)
		s.endpoint.Issue(bad, nil)
		s.expect(t, bad, http.StatusUnauthorized, asked+1)
	}
	// The rules of the route are asked anew all the same.
	total := len(s.endpoint.Asked())
	s.reload(t, asked{generation: 9, audience: "https://other.example.com"})
	s.expect(t, good, http.StatusUnauthorized, total)
}

// Where one of these changes nothing of what was said is believed: another client
// may be told something else, and so may who reads it elsewhere.
func TestIntrospectionEndsWithItsSettings(t *testing.T) {
	for name, change := range map[string]func(s *askingSite) asked{
		"the client":   func(*askingSite) asked { return asked{clientID: "another"} },
		"the endpoint": func(s *askingSite) asked { return asked{endpoint: s.idp.URL + "/introspect"} },
		"the claims":   func(*askingSite) asked { return asked{claims: "\t\t\tclaims {\n\t\t\t\tsubject email\n\t\t\t}\n"} },
	} {
		t.Run(name, func(t *testing.T) {
			s := startAsked(t)
			good := s.endpoint.Issue("good-token", map[string]any{"exp": 4102444800, "email": "alice@example.com"})
			s.expect(t, good, http.StatusOK, 1)
			s.expect(t, "bad-token", http.StatusUnauthorized, 2)
			s.endpoint.Revoke(good)
			s.endpoint.Issue("bad-token", map[string]any{"email": "alice@example.com"})
			changed := change(s)
			changed.generation = 1
			s.reload(t, changed)
			s.expect(t, good, http.StatusUnauthorized, 3)
			answer := s.expect(t, "bad-token", http.StatusOK, 4)
			if want := map[bool]string{true: "alice@example.com", false: "alice"}[changed.claims != ""]; answer.Body != want {
				t.Errorf("the token is %q's, want %q", answer.Body, want)
			}
		})
	}
}

// Of another issuer's answers nothing serves this one, whatever else is the same.
func TestIntrospectionEndsWithItsIssuer(t *testing.T) {
	s := startAsked(t)
	other := harness.NewAuthServer(t)
	endpoint := other.Introspects(t)
	good := s.endpoint.Issue("good-token", nil)
	s.expect(t, good, http.StatusOK, 1)
	if err := s.Reload(strings.ReplaceAll(asked{generation: 1}.caddyfile(), "$IDP", other.URL)); err != nil {
		t.Fatal(err)
	}
	s.expect(t, good, http.StatusUnauthorized, 1)
	if n := len(endpoint.Asked()); n != 1 {
		t.Errorf("the other issuer was asked %d times", n)
	}
}
