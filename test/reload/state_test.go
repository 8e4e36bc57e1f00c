package reload_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestStateIsKept(t *testing.T) {
	s := start(t)
	for generation, change := range []configuration{{}, {leeway: "1m"}, {extra: "\t\ttoken_cache 10 1MiB\n"}} {
		change.generation = generation + 1
		s.reload(t, change)
		s.Get("/orders/1", s.token).Expect(t, http.StatusOK)
		s.expectFetched(t, 1, 1)
	}
}

// A secret that rotates costs no token: what was issued is still the gateway's.
func TestExchangedTokensOutliveASecret(t *testing.T) {
	s := start(t)
	s.reload(t, configuration{generation: 1, secret: "another-secret"})
	s.Get("/orders/1", s.token).Expect(t, http.StatusOK)
	s.expectFetched(t, 1, 1)
	s.Get("/orders/1", s.idp.Token(map[string]any{"jti": "2"})).Expect(t, http.StatusBadGateway)
}

// An exchange that asks for something else begins with nothing.
func TestChangedExchangeStartsAnew(t *testing.T) {
	s := start(t)
	s.reload(t, configuration{generation: 1, scope: "orders:write"})
	s.Get("/orders/1", s.token).Expect(t, http.StatusOK)
	s.expectFetched(t, 1, 2)
	if scope := s.idp.Forms()[1].Get("scope"); scope != "orders:write" {
		t.Errorf("asked for scope %q", scope)
	}
	// And the earlier one did not stay for somebody to come back to.
	s.reload(t, configuration{generation: 2})
	s.Get("/orders/1", s.token).Expect(t, http.StatusOK)
	s.expectFetched(t, 1, 3)
}

// startsInPart is a configuration of which one site listens when another one cannot. Caddy
// closes its listener behind the answer to who loaded it.
const startsInPart = "while it starts"

func TestRejectedConfigurationChangesNothing(t *testing.T) {
	s := start(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	good := configuration{generation: 9}
	tests := map[string]struct{ caddyfile, want string }{
		"while it is adapted": {
			strings.Replace(good.caddyfile(), "token_exchange orders", "token_exchange orders extra", 1), "one exchange a directive",
		},
		"by a name nobody declared": {
			strings.Replace(good.caddyfile(), "token_exchange orders", "token_exchange nobody", 1), "nobody",
		},
		"after its issuers were made": {
			configuration{generation: 9, extra: "\t\tissuer late https://late.example.com {\n\t\t\taudience any\n\t\t\tjwks /no/such/file\n\t\t}\n"}.caddyfile(), "/no/such/file",
		},
		"by its other settings": {
			strings.Replace(good.caddyfile(), "leeway 30s", "leeway 1h", 1), "leeway",
		},
		startsInPart: {
			good.caddyfile() + "http://" + taken.Addr().String() + " {\n\trespond taken\n}\n", "address already in use",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for range 3 {
				if err := s.Reload(test.caddyfile); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("the configuration was answered %v, want a refusal about %q", err, test.want)
				}
				if name == startsInPart {
					harness.Eventually(t, "Caddy has closed what had begun", func() bool { return s.answers(t, 10) == "0" })
				}
				if generation := s.answers(t, 1); generation != "0" {
					t.Errorf("generation %s answers", generation)
				}
				s.expectFetched(t, 1, 1)
			}
		})
	}
	// The running one still learns.
	next := tokentest.NewKey(t, "ES256", "k2")
	s.idp.Rotate(s.idp.Key, next)
	s.Get("/", next.Sign(nil, s.idp.Claims(nil))).Expect(t, http.StatusOK)
	s.reload(t, configuration{generation: 1})
	s.Get("/orders/1", s.token).Expect(t, http.StatusOK)
	s.expectFetched(t, 2, 1)
}

func TestStateGoesWithItsIssuer(t *testing.T) {
	s := start(t)
	s.reload(t, configuration{generation: 1, without: true})
	s.reload(t, configuration{generation: 2})
	harness.Eventually(t, "the keys have come", func() bool { return s.Get("/orders/1", s.token).Status == http.StatusOK })
	s.expectFetched(t, 2, 2)
}
