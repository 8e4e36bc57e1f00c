package attack_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// sources is a gateway that takes tokens from elsewhere than Authorization, or lets
// nobody pass.
const sources = `{
	debug
	log {
		format filter {
			request>uri query {
				replace access_token HIDDEN
			}
			request>headers>X-Access-Token delete
		}
	}
	servers {
		trusted_proxies static 192.0.2.0/24
	}
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			audience orders
			scope orders:read
		}
	}
}
(upstream) {
	reverse_proxy {args[0]} {
		header_up X-User {http.auth.user.id}
		header_up X-Email {http.auth.user.claim.email}
		header_up X-Has-Email {http.auth.user.has.email}
		header_up X-Orig "{http.request.orig_uri} {http.request.orig_uri.query} {http.request.orig_uri.prefixed_query}"
		header_up X-Uri "{http.request.uri} {http.request.uri.query.access_token} {http.request.header.Cookie} {http.request.header.X-Access-Token}"
	}
}
$SITE {
	log
	tracing {
		span gateway
	}
	handle /default/* {
		token_auth
		import upstream $UPSTREAM
	}
	handle /cookie/* {
		token_auth {
			from cookie session
		}
		import upstream $UPSTREAM
	}
	handle /header/* {
		token_auth {
			from header X-Access-Token
		}
		import upstream $UPSTREAM
	}
	handle /query/* {
		token_auth {
			from query access_token
		}
		import upstream $UPSTREAM
	}
	handle /all/* {
		token_auth {
			from header Authorization
			from header X-Access-Token
			from cookie session
			from query access_token
		}
		import upstream $UPSTREAM
	}
	handle /optional/* {
		token_auth {
			optional
			realm "the orders"
			resource https://api.example.com/v1
		}
		handle /optional/require {
			token_require scope orders:read
			import upstream $UPSTREAM
		}
		handle /optional/exchange {
			token_exchange orders
			import upstream $UPSTREAM
		}
		import upstream $UPSTREAM
	}
	handle /forward/* {
		token_auth {
			forward_token
			from header Authorization
			from cookie session
			from query access_token
		}
		handle /forward/exchange {
			token_exchange orders
			import upstream $UPSTREAM
		}
		handle /forward/dead {
			reverse_proxy $DEAD
		}
		import upstream $UPSTREAM
	}
	handle /dead/* {
		token_auth {
			from header X-Access-Token
			from cookie session
			from query access_token
		}
		reverse_proxy $DEAD
	}
	handle_errors {
		import upstream $ERRORS
	}
}
`

type sourceWorld struct {
	*harness.Gateway

	t                  *testing.T
	idp                *harness.AuthServer
	upstream, failures *harness.Upstream
	token              string
}

func startSources(t *testing.T) *sourceWorld {
	t.Helper()
	w := &sourceWorld{t: t, idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t), failures: harness.NewUpstream(t)}
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	w.Gateway = harness.Start(t, sources, "$IDP", w.idp.URL, "$UPSTREAM", w.upstream.Address,
		"$ERRORS", w.failures.Address, "$DEAD", harness.FreeAddress(t))
	w.token = w.idp.Token(map[string]any{"jti": "source-token"})
	w.failures.Respond(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) })
	harness.Eventually(t, "the keys have come", func() bool { return w.Get("/default/", w.token).Status == http.StatusOK })
	return w
}

// ask sends a request; headers come as names and values in turn.
func (w *sourceWorld) ask(method, path string, headers ...string) harness.Answer {
	w.t.Helper()
	request := w.Request(method, path, "")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header[headers[i]] = append(request.Header[headers[i]], headers[i+1])
	}
	return w.Do(request)
}

// expect asks, and holds the answer to come from the upstream or, with a status,
// from the gateway itself. It returns what the upstream got.
func (w *sourceWorld) expect(passes bool, method, path string, headers ...string) harness.Received {
	w.t.Helper()
	reached := len(w.upstream.Received())
	answer := w.ask(method, path, headers...)
	all := w.upstream.Received()
	if passes != (len(all) > reached) {
		w.t.Errorf("%s %s with %.60q: passes %t, answer %d %v", method, path, headers, !passes, answer.Status, answer.Header)
	}
	if !passes || len(all) == reached {
		return harness.Received{}
	}
	return all[len(all)-1]
}

// refusedWith asks and tells the status that the audit trail has of the refusal.
func (w *sourceWorld) refusedWith(status float64, method, path string, headers ...string) harness.Answer {
	w.t.Helper()
	reached := len(w.upstream.Received())
	lines := len(w.denials())
	answer := w.ask(method, path, headers...)
	if n := len(w.upstream.Received()); n != reached {
		w.t.Errorf("%s %s with %.60q passes", method, path, headers)
	}
	harness.Eventually(w.t, "the refusal is in the audit trail", func() bool { return len(w.denials()) > lines })
	if got := w.denials()[lines]["status"]; got != status {
		w.t.Errorf("%s %s with %.60q: status %v, want %v", method, path, headers, got, status)
	}
	return answer
}

func (w *sourceWorld) denials() []map[string]any {
	return slices.DeleteFunc(w.Audit(), func(line map[string]any) bool { return line["msg"] != "denied" })
}

// nowhere fails the test if the token was seen by an upstream or is in the log.
func (w *sourceWorld) nowhere() {
	w.t.Helper()
	for _, got := range slices.Concat(w.upstream.Received(), w.failures.Received()) {
		if got.Holds(w.token) || got.Holds("access_token") || got.Holds("session=") {
			w.t.Errorf("%s %s: the token, or its place, reached an upstream: %v", got.Path, got.Query, got.Header)
		}
	}
}
