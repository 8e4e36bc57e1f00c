package integration_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const listed = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
			fetch_timeout 1s
			# PLACES
		}
	}
}
$SITE {
	token_auth
	reverse_proxy $UPSTREAM
}
`

// Every five seconds is as often as a list may ask to be fetched.
var shortTTL = map[string]any{"ttl": 1}

func TestStatusList(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			_ = harness.EchoWebSocket(w, r)
		case "/long":
			for range 3 {
				_, _ = io.WriteString(w, strings.Repeat("long", 4096))
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	list := idp.Lists("/statuslists/1")
	list.Set(7, 1)
	list.Set(8, 2)
	gateway := harness.Start(t, listed, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	good, plain := list.Token(6, nil), idp.Token(nil)
	gateway.Await("/", plain, http.StatusOK)
	if list.Hits() != 0 {
		t.Error("a list was fetched that nobody named")
	}
	gateway.Get("/", good).Expect(t, http.StatusOK)
	for _, index := range []int{7, 8, 1000} {
		answer := gateway.Get("/", list.Token(index, nil)).Expect(t, http.StatusUnauthorized)
		if challenge := answer.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
			t.Errorf("entry %d: %s", index, challenge)
		}
	}
	if list.Hits() != 1 {
		t.Errorf("%d fetches, want 1", list.Hits())
	}
	// What is known outlives a configuration.
	if err := gateway.Reload(strings.Replace(listed, "token_auth", "token_auth {\n\t\trealm another\n\t}", 1)); err != nil {
		t.Fatal(err)
	}
	gateway.Await("/", good, http.StatusOK)
	if list.Hits() != 1 {
		t.Errorf("%d fetches after a reload, want 1", list.Hits())
	}

	list = idp.Lists("/statuslists/2")
	list.Change(shortTTL)
	good = list.Token(6, nil)
	gateway.Get("/", good).Expect(t, http.StatusOK)
	socket, _ := gateway.Upgrade("/ws", good)
	defer socket.Close()
	if answer := gateway.Get("/long", good).Expect(t, http.StatusOK); len(answer.Body) != 3*4*4096 {
		t.Errorf("%d octets of a long answer", len(answer.Body))
	}
	// Another configuration, whose lists are another state, ends what is open too.
	if err := gateway.Reload(strings.Replace(listed, "# PLACES", "leeway 11s", 1)); err != nil {
		t.Fatal(err)
	}
	gateway.Await("/", good, http.StatusOK)

	// The token is remembered, and refused all the same once the list says so. What it
	// has open ends.
	list.Set(6, 1)
	harness.Eventually(t, "the revoked token is refused", func() bool {
		return gateway.Get("/", good).Status == http.StatusUnauthorized
	})
	list.Set(6, 0)
	if _, err := socket.Receive(); err == nil {
		t.Error("the WebSocket goes on")
	}
	harness.Eventually(t, "the token is good again", func() bool {
		return gateway.Get("/", good).Status == http.StatusOK
	})
	gateway.Get("/", plain).Expect(t, http.StatusOK)
	if !slices.ContainsFunc(gateway.Audit(), func(line map[string]any) bool {
		return line["rule"] == "status_invalid" && line["reason"] == "status_invalid: it is suspended" && line["subject"] == nil
	}) {
		t.Errorf("the audit trail has %v", gateway.Audit())
	}
	for _, want := range []string{
		`caddy_gatehouse_status_list_fetches_total{issuer="` + idp.URL + `",outcome="ok"}`,
		`caddy_gatehouse_status_lists{issuer="` + idp.URL + `"} 1`,
		`caddy_gatehouse_status_lists_stale{issuer="` + idp.URL + `"} 0`,
		`caddy_gatehouse_status_list_bytes{issuer="` + idp.URL + `"} 250`,
		`caddy_gatehouse_status_list_age_seconds{issuer="` + idp.URL + `"}`,
	} {
		if !strings.Contains(gateway.Metrics(), want) {
			t.Errorf("there is no %s", want)
		}
	}
}

// While the list cannot be had, what is held serves to its end. Nothing held is 503.
func TestStatusListOutage(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	held, missing := idp.Lists("/held"), idp.Lists("/missing")
	missing.Answer(http.NotFound)
	gateway := harness.Start(t, listed, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	good, lost := held.Token(1, nil), missing.Token(1, nil)
	held.Change(map[string]any{"ttl": 1, "exp": time.Now().Add(-15 * time.Second).Unix()}) // 15s with the leeway
	gateway.Get("/", good).Expect(t, http.StatusOK)
	held.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	answer := gateway.Get("/", lost).Expect(t, http.StatusServiceUnavailable)
	if answer.Header.Get("Retry-After") != "5" || answer.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("%v", answer.Header)
	}
	// An address may hold what is nobody's business.
	gateway.Get("/", idp.Token(map[string]any{"status": tokentest.Status(idp.URL+"/asked?tenant=canary-query", 0)})).
		Expect(t, http.StatusServiceUnavailable)
	seen, shown := look(t, gateway)
	if !strings.Contains(shown, idp.URL+"/asked") || strings.Contains(shown+gateway.Log(), "canary-query") {
		t.Error("the query of a list is shown, or the list is not")
	}
	if said := seen.problem("status list " + missing.URI); !strings.HasPrefix(said, "error: it is not there, so tokens that name it are answered with 503: ") {
		t.Errorf("an operator is told %q of %+v", said, seen.Problems)
	}
	if listed := lookAt(t, gateway, "/gatehouse/status-lists", http.StatusOK); !strings.Contains(listed, `"uri":"`+held.URI+`","state":"fresh"`) {
		t.Errorf("the lists are %s", listed)
	}
	if stale := `caddy_gatehouse_status_lists_stale{issuer="` + idp.URL + `"} 2`; !strings.Contains(gateway.Metrics(), stale) {
		t.Error("the alert for lists does not see one that never came")
	}
	harness.Eventually(t, "renewals fail", func() bool { return held.Hits() > 1 })
	gateway.Get("/", good).Expect(t, http.StatusOK)
	harness.Eventually(t, "the list has ended", func() bool {
		return gateway.Get("/", good).Status == http.StatusServiceUnavailable
	})
	missing.Answer(nil)
	held.Change(nil)
	held.Answer(nil)
	gateway.Await("/", lost, http.StatusOK)
	gateway.Await("/", good, http.StatusOK)
	gateway.Get("/", idp.Token(nil)).Expect(t, http.StatusOK)
}

// Lists may lie where the configuration says, and then there alone.
func TestStatusListElsewhere(t *testing.T) {
	t.Parallel()
	idp, cdn, upstream := harness.NewAuthServer(t), harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, strings.Replace(listed, "# PLACES", "status_list $CDN/lists", 1),
		"$IDP", idp.URL, "$CDN", cdn.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	claims := func(uri string) map[string]any { return map[string]any{"status": tokentest.Status(uri, 1)} }
	list := cdn.Lists("/lists/1")
	list.Serve(idp.Key.Sign(tokentest.StatusListHeader(), list.Claims()))
	gateway.Get("/", idp.Token(claims(list.URI))).Expect(t, http.StatusOK)
	for _, elsewhere := range []*harness.StatusList{cdn.Lists("/listsX"), cdn.Lists("/other"), idp.Lists("/lists/1")} {
		gateway.Get("/", idp.Token(claims(elsewhere.URI))).Expect(t, http.StatusUnauthorized)
		if elsewhere.Hits() != 0 {
			t.Errorf("%s was fetched", elsewhere.URI)
		}
	}
}
