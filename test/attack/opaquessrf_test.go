package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// askedAbout is a gateway that asks its issuer about every token, with the words
// that say where.
const askedAbout = `{
	gatehouse {
		issuer main $IDP {
			audience any
			introspection {
				client gateway
				always
				cache_ttl 0s
			}
$TRUST		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
	}
}
$SITE {
	token_auth
	respond ok
}
`

func startAskedAbout(t *testing.T, idp, trust string) *harness.Gateway {
	t.Helper()
	return harness.Start(t, askedAbout, "$IDP", idp, "$TRUST", trust)
}

// inside are addresses that lie behind the gateway, of which the trap is one.
func inside(trap *trap) []string {
	return []string{
		trap.URL + "/introspect",
		strings.Replace(trap.URL, "127.0.0.1", "localhost", 1) + "/introspect",
		strings.Replace(trap.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1) + "/introspect",
		"http://169.254.169.254/latest/meta-data", "http://[::ffff:169.254.169.254]/latest/meta-data",
		"file:///etc/passwd", "gopher://" + strings.TrimPrefix(trap.URL, "http://"),
	}
}

// An issuer elsewhere whose metadata leads the question to the gateway's own
// machine or to the network's is not asked there, and its metadata is not believed
// in anything else.
func TestAttack20IntrospectionEndpointInside(t *testing.T) {
	w := attacked(t)
	trap := newTrap(t, w.thief)
	for _, place := range inside(trap) {
		for name, metadata := range map[string]map[string]any{
			"introspection_endpoint": {"introspection_endpoint": place},
			"mtls_endpoint_aliases":  {"mtls_endpoint_aliases": map[string]any{"introspection_endpoint": place}},
		} {
			t.Run(name+" "+place, func(t *testing.T) {
				issuer, ca := metadataServer(t, metadata)
				gateway := startAskedAbout(t, issuer.URL, "\t\t\ttrust_ca "+ca+"\n")
				<-issuer.asked
				gateway.Get("/", "opaque").Expect(t, http.StatusServiceUnavailable)
				gateway.Get("/", w.thief.Sign(nil, tokentest.Claims(issuer.URL, nil))).Expect(t, http.StatusServiceUnavailable)
				// It was read and refused, not called and not reached.
				harness.Eventually(t, "the audit trail says why", func() bool {
					return len(gateway.Audit()) > 0 && strings.Contains(fmt.Sprint(gateway.Audit()[0]["reason"]), name)
				})
				trap.untouched(t)
			})
		}
	}
}

// Metadata that lies elsewhere, or that is another issuer's, names no endpoint.
func TestAttack20IntrospectionMetadataElsewhere(t *testing.T) {
	w := attacked(t)
	trap := newTrap(t, w.thief)
	foreign := map[string]any{"jwks_uri": trap.URL + "/jwks", "introspection_endpoint": trap.URL + "/introspect"}
	for name, answer := range map[string]http.HandlerFunc{
		"redirect":        http.RedirectHandler(trap.URL+metadataPlace, http.StatusFound).ServeHTTP,
		"redirect inside": http.RedirectHandler("http://169.254.169.254/latest/meta-data", http.StatusTemporaryRedirect).ServeHTTP,
		"nobody's":        func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(tokentest.JSON(foreign)) },
		"another issuer's": func(rw http.ResponseWriter, _ *http.Request) {
			_, _ = rw.Write(tokentest.JSON(map[string]any{
				"issuer": trap.URL, "jwks_uri": trap.URL + "/jwks", "introspection_endpoint": trap.URL + "/introspect",
			}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			idp := harness.NewAuthServer(t)
			endpoint := idp.Introspects(t)
			idp.Handle(metadataPlace, answer)
			gateway := startAskedAbout(t, idp.URL, "")
			for range 2 {
				gateway.Get("/", endpoint.Issue("opaque", nil)).Expect(t, http.StatusServiceUnavailable)
			}
			if idp.Hits(metadataPlace) == 0 || len(endpoint.Asked()) != 0 {
				t.Errorf("metadata was asked for %d times, the endpoint %d times", idp.Hits(metadataPlace), len(endpoint.Asked()))
			}
			trap.untouched(t)
		})
	}
}

// What an answer holds leads nowhere: not the address of a redirect, not an issuer,
// not a key that the answer itself names.
func TestAttack20IntrospectionAnswer(t *testing.T) {
	w := attacked(t)
	trap := newTrap(t, w.thief)
	idp := harness.NewAuthServer(t)
	endpoint := idp.Introspects(t)
	endpoint.Sign()
	gateway := startAskedAbout(t, idp.URL, "")
	gateway.Await("/", endpoint.Issue("opaque", nil), http.StatusOK)
	leads := func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_, _ = rw.Write(tokentest.JSON(idp.Claims(map[string]any{
			"active": true, "iss": trap.URL, "introspection_endpoint": trap.URL + "/introspect", "jwks_uri": trap.URL + "/jwks",
		})))
	}
	type lead struct {
		answer http.HandlerFunc
		status int
	}
	answers := map[string]lead{"an issuer": {leads, http.StatusUnauthorized}}
	for _, place := range inside(trap) {
		answers["redirect to "+place] = lead{http.RedirectHandler(place, http.StatusPermanentRedirect).ServeHTTP, http.StatusServiceUnavailable}
	}
	for _, member := range []string{"jku", "x5u"} {
		header := map[string]any{"kid": "thief", member: trap.URL + "/jwks"}
		answers["signed by "+member] = lead{endpoint.Signed(header, nil), http.StatusServiceUnavailable}
		answers["signed by "+member+" of another"] = lead{
			endpoint.Signed(header, map[string]any{"iss": trap.URL}), http.StatusServiceUnavailable,
		}
	}
	for name, test := range answers {
		t.Run(name, func(t *testing.T) {
			before := len(endpoint.Asked())
			endpoint.Answer(test.answer)
			gateway.Get("/", "opaque").Expect(t, test.status)
			if len(endpoint.Asked()) == before {
				t.Error("the issuer was not asked, so nothing was tried")
			}
			trap.untouched(t)
			// One bad answer is no outage of the endpoint.
			endpoint.Answer(nil)
			gateway.Await("/", "opaque", http.StatusOK)
		})
	}
}

// Where a token says it is from, the gateway does not go, and the issuer that it
// has is not shown what is not its own.
func TestAttack20IntrospectionOfForeignToken(t *testing.T) {
	w := attacked(t)
	trap := newTrap(t, w.thief)
	idp := harness.NewAuthServer(t)
	endpoint := idp.Introspects(t)
	gateway := startAskedAbout(t, idp.URL, "")
	good := idp.Token(nil)
	endpoint.Issue(good, nil)
	gateway.Await("/", good, http.StatusOK)
	before := len(endpoint.Asked())
	for _, iss := range append(inside(trap), "http://169.254.169.254", trap.URL, idp.URL+"@"+strings.TrimPrefix(trap.URL, "http://")) {
		gateway.Get("/", w.thief.Sign(nil, tokentest.Claims(iss, nil))).Expect(t, http.StatusUnauthorized)
		gateway.Get("/", idp.Token(map[string]any{"iss": iss})).Expect(t, http.StatusUnauthorized)
		header := map[string]any{"kid": "k1", "jku": trap.URL + "/jwks", "x5u": trap.URL}
		gateway.Get("/", w.thief.Sign(header, idp.Claims(nil))).Expect(t, http.StatusUnauthorized)
	}
	if after := len(endpoint.Asked()); after != before {
		t.Errorf("the issuer was shown %d tokens that it did not sign", after-before)
	}
	// An address as a token is a text like any other, for the one issuer there is.
	for _, text := range inside(trap) {
		gateway.Get("/", text).Expect(t, http.StatusUnauthorized)
	}
	if asked := len(endpoint.Asked()) - before; asked != len(inside(trap)) {
		t.Errorf("the issuer was asked about %d of %d texts", asked, len(inside(trap)))
	}
	trap.untouched(t)
}
