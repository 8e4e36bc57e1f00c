package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// companyGlobal is what the sites with Caddy's own handlers begin with. $GLOBAL
// are further global options.
const companyGlobal = `{
	$GLOBAL
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope a
		}
	}
}
`

// A company is a gateway whose routes hold handlers of Caddy's own. $SIDE stands
// for a second upstream.
type company struct {
	*harness.Gateway

	idp            *harness.AuthServer
	upstream, side *harness.Upstream
}

func startCompany(t *testing.T, global, sites string, pairs ...string) company {
	t.Helper()
	c := company{idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t), side: harness.NewUpstream(t)}
	text := strings.Replace(companyGlobal, "$GLOBAL", global, 1) + sites
	pairs = append(pairs, "$IDP", c.idp.URL, "$UPSTREAM", c.upstream.Address, "$SIDE", c.side.Address)
	c.Gateway = harness.Start(t, text, pairs...)
	harness.Eventually(t, "the issuer's keys are there", func() bool {
		return strings.Contains(c.Metrics(), "gatehouse_") && c.Get("/ready", c.token(nil)).Status == http.StatusNoContent
	})
	return c
}

// ready is the route by which startCompany sees that the gateway knows the keys.
const ready = `
	handle /ready {
		token_auth
		respond 204
	}
`

func (c company) token(changes map[string]any) string {
	return c.idp.Token(merge(map[string]any{"scope": "a b"}, changes))
}

// expectExchanged fails the test unless the upstream got the exchanged token, and
// nothing of the caller's.
func (c company) expectExchanged(t *testing.T, token string) {
	t.Helper()
	got := c.upstream.Last(t)
	if got.Holds(token) {
		t.Error("the caller's token reached the upstream")
	}
	if claims := harness.Claims(t, got.Bearer()); claims["aud"] != "orders" {
		t.Errorf("the upstream's token says %v", claims)
	}
}

const forwardAuth = "$SITE {" + ready + `
	handle /default/* {
		token_auth
		token_exchange orders
		forward_auth $SIDE {
			uri /check
			copy_headers X-Role X-User>X-Checked-User Authorization
			header_up X-Subject {http.auth.user.subject}
		}
		reverse_proxy $UPSTREAM
	}
	handle /query/* {
		token_auth {
			from query access_token
		}
		forward_auth $SIDE {
			uri /check
		}
		reverse_proxy $UPSTREAM
	}
	handle /kept/* {
		token_auth {
			forward_token
		}
		token_exchange orders
		forward_auth $SIDE {
			uri /check
		}
		reverse_proxy $UPSTREAM
	}
	handle /before/* {
		route {
			forward_auth $SIDE {
				uri /check
				copy_headers Authorization
			}
			token_auth
			token_exchange orders
			reverse_proxy $UPSTREAM
		}
	}
	handle /behind/* {
		route {
			token_auth
			token_exchange orders
			forward_auth $SIDE {
				uri /check
			}
			reverse_proxy $UPSTREAM
		}
	}
}
`

// The server of forward_auth is asked without any token in the order that nobody
// has to write, and with the one that is there where the operator puts it elsewhere.
func TestForwardAuth(t *testing.T) {
	t.Parallel()
	c := startCompany(t, "", forwardAuth)
	token := c.token(nil)
	c.side.Respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Role", "clerk")
		w.Header().Set("X-User", "checked")
	})

	t.Run("default", func(t *testing.T) {
		request := c.Request(http.MethodPost, "/default/1", token)
		request.Header.Set("X-Role", "canary-forged")
		request.Header.Set("X-Checked-User", "canary-forged")
		c.Do(request).Expect(t, http.StatusOK)
		asked := c.side.Last(t)
		if asked.Holds(token) || len(asked.Header["Authorization"]) > 0 {
			t.Errorf("forward_auth's server got %q", asked.Header)
		}
		want := []string{"/check", "GET", "POST", "/default/1", "alice"}
		got := []string{asked.Path, asked.Method, asked.Header.Get("X-Forwarded-Method"), asked.Header.Get("X-Forwarded-Uri"), asked.Header.Get("X-Subject")}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("what forward_auth's server was asked (-want +got):\n%s", diff)
		}
		c.expectExchanged(t, token)
		reached := c.upstream.Last(t)
		if reached.Header.Get("X-Role") != "clerk" || reached.Header.Get("X-Checked-User") != "checked" || reached.Holds("canary-forged") {
			t.Errorf("the upstream got %q", reached.Header)
		}
	})
	t.Run("query", func(t *testing.T) {
		request := c.Request(http.MethodGet, "/query/1?a=1&access_token="+token, "")
		request.Header.Set("Accept", "text/event-stream")
		c.Do(request).Expect(t, http.StatusOK)
		asked := c.side.Last(t)
		if asked.Holds(token) || asked.Header.Get("X-Forwarded-Uri") != "/query/1?a=1" {
			t.Errorf("forward_auth's server got %q", asked.Header)
		}
	})
	t.Run("before", func(t *testing.T) {
		c.side.Respond(func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Authorization"] = r.Header["Authorization"]
		})
		c.Get("/before/1", token).Expect(t, http.StatusOK)
		if c.side.Last(t).Bearer() != token {
			t.Error("in front of token_auth forward_auth's server does not get the caller's token")
		}
		c.expectExchanged(t, token)
	})
	t.Run("forward_token", func(t *testing.T) {
		c.Get("/kept/1", token).Expect(t, http.StatusOK)
		if c.side.Last(t).Bearer() != token {
			t.Error("with forward_token forward_auth's server does not get the caller's token")
		}
		c.expectExchanged(t, token)
	})
	t.Run("behind token_exchange", func(t *testing.T) {
		c.side.Respond(nil)
		c.Get("/behind/1", token).Expect(t, http.StatusOK)
		asked := c.side.Last(t)
		if asked.Holds(token) || harness.Claims(t, asked.Bearer())["aud"] != "orders" {
			t.Errorf("forward_auth's server got %q", asked.Header)
		}
		c.expectExchanged(t, token)
	})
}

// What forward_auth's server refuses goes no further, and is nobody else's answer.
func TestForwardAuthRefuses(t *testing.T) {
	t.Parallel()
	c := startCompany(t, "", forwardAuth)
	c.side.Respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", "Side")
		w.WriteHeader(http.StatusUnauthorized)
	})
	got := c.Get("/default/1", c.token(nil)).Expect(t, http.StatusUnauthorized)
	expectHeader(t, got, "WWW-Authenticate", "Side")
	if n := len(c.idp.Forms()); n != 0 {
		t.Errorf("%d exchanges for a refused request, want none", n)
	}
	// Behind token_exchange it is the exchanged token that was refused.
	got = c.Get("/behind/1", c.token(nil)).Expect(t, http.StatusBadGateway)
	expectHeader(t, got, "WWW-Authenticate")
	if n := len(c.idp.Forms()); n != 2 {
		t.Errorf("%d exchanges, want another one for the refused token", n)
	}
	asked := len(c.side.Received())
	c.Get("/default/1", "bad").Expect(t, http.StatusUnauthorized)
	if n := len(c.side.Received()); n != asked {
		t.Error("forward_auth's server was asked about a bad token")
	}
	if n := len(c.upstream.Received()); n != 0 {
		t.Errorf("%d refused requests reached the upstream", n)
	}
}
