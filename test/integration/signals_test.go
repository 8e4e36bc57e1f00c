package integration_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const signalled = `{
	gatehouse {` + harness.MainAndClient + `
		store $STORE
		seal canary-seal-of-more-than-32-octets
	}
}
$SITE {
	rewrite * /rewritten
	token_events {
		backchannel_logout main
		shared_signals main https://gateway.example.com/signals
	}
	token_auth
	respond in
}
`

func TestBackchannelLogout(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, signalled, "$IDP", idp.URL, "$STORE", "memory "+t.TempDir())
	laptop, phone := idp.Token(map[string]any{"sid": "laptop"}), idp.Token(map[string]any{"sid": "phone"})
	gateway.Await("/", laptop, http.StatusOK)
	gateway.Get("/", phone).Expect(t, http.StatusOK)

	good := idp.LogoutToken(map[string]any{"sid": "laptop", "jti": "logout-1"})
	answer := gateway.Logout(good).Expect(t, http.StatusOK)
	if answer.Header.Get("Cache-Control") != "no-store" || answer.Body != "" {
		t.Errorf("%v %q", answer.Header, answer.Body)
	}
	gateway.Get("/", laptop).Expect(t, http.StatusUnauthorized)
	gateway.Get("/", phone).Expect(t, http.StatusOK)
	gateway.Logout(good).Expect(t, http.StatusBadRequest)

	// Without sid it is all of the subject's, up to now; who logs in again is welcome.
	gateway.Logout(idp.LogoutToken(nil)).Expect(t, http.StatusOK)
	gateway.Get("/", phone).Expect(t, http.StatusUnauthorized)
	gateway.Get("/", idp.Token(map[string]any{"iat": time.Now().Add(2 * time.Second).Unix()})).Expect(t, http.StatusOK)

	var lines []map[string]any
	harness.Eventually(t, "three lines in the audit trail", func() bool {
		lines = slices.DeleteFunc(gateway.Audit(), func(line map[string]any) bool { return line["directive"] != "token_events" })
		return len(lines) == 3
	})
	if lines[0]["msg"] != "signalled" || lines[0]["revoked"] != "session laptop" || lines[0]["jti"] != "logout-1" ||
		lines[1]["msg"] != "denied" || lines[1]["rule"] != "replayed" || lines[2]["revoked"] != "subject alice" {
		t.Errorf("the audit trail has %v", lines)
	}
	for _, want := range []string{
		`caddy_gatehouse_signals_total{kind="backchannel_logout",outcome="revoked"} 2`,
		`caddy_gatehouse_signals_total{kind="backchannel_logout",outcome="replayed"} 1`,
	} {
		if !strings.Contains(gateway.Metrics(), want) {
			t.Errorf("there is no %s", want)
		}
	}
}

func TestSharedSignals(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	key := idp.Transmits(t)
	gateway := harness.Start(t, signalled, "$IDP", idp.URL, "$STORE", "memory "+t.TempDir())
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	push := func(changes map[string]any) harness.Answer {
		return gateway.Push(key.Sign(map[string]any{"typ": "secevent+jwt"}, idp.SETClaims(changes)))
	}
	verification := map[string]any{"events": map[string]any{harness.EventVerification: map[string]any{"state": "seen-by-us"}}}
	harness.Eventually(t, "the transmitter's keys", func() bool { return push(verification).Status == http.StatusAccepted })
	harness.Eventually(t, "the state is in the log", func() bool {
		lines := gateway.Lines("a stream of signals was verified")
		return len(lines) > 0 && lines[0]["state"] == "seen-by-us"
	})
	held := idp.Token(nil) // of before: a later one would be good
	gateway.Get("/", held).Expect(t, http.StatusOK)

	answer := push(nil).Expect(t, http.StatusAccepted)
	if answer.Header.Get("Cache-Control") != "no-store" || answer.Body != "" {
		t.Errorf("%v %q", answer.Header, answer.Body)
	}
	gateway.Get("/", held).Expect(t, http.StatusUnauthorized)
	gateway.Get("/", idp.Token(map[string]any{"sub": "bob"})).Expect(t, http.StatusOK)
	refused := push(map[string]any{"aud": "another"}).Expect(t, http.StatusBadRequest)
	if members := refused.Members(); members["err"] != "invalid_audience" || refused.Header.Get("Content-Language") != "en" {
		t.Errorf("%v %s", refused.Header, refused.Body)
	}
	if n := idp.Hits("/.well-known/ssf-configuration"); n == 0 {
		t.Error("the transmitter's metadata was not read")
	}
}

func TestSignalsAnswerTheirPathsAlone(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, signalled, "$IDP", idp.URL, "$STORE", "memory "+t.TempDir())
	for _, path := range []string{"/backchannel-logout", "/shared-signals"} {
		answer := gateway.Get(path, "").Expect(t, http.StatusMethodNotAllowed)
		if answer.Header.Get("Allow") != http.MethodPost {
			t.Errorf("%s allows %q", path, answer.Header.Get("Allow"))
		}
	}
	gateway.Get("/backchannel-logout/", "").Expect(t, http.StatusUnauthorized)
	gateway.Get("/other", "").Expect(t, http.StatusUnauthorized)
}

// What was used before a reload is used after it.
func TestSignalsAfterReload(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, signalled, "$IDP", idp.URL, "$STORE", "memory "+t.TempDir())
	held := idp.Token(map[string]any{"sid": "laptop"})
	gateway.Await("/", held, http.StatusOK)
	text := idp.LogoutToken(map[string]any{"sid": "laptop"})
	gateway.Logout(text).Expect(t, http.StatusOK)
	if err := gateway.Reload(strings.Replace(signalled, "respond in", "respond again", 1)); err != nil {
		t.Fatal(err)
	}
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	gateway.Get("/", held).Expect(t, http.StatusUnauthorized)
	// A server of before may close the connection of a first POST unanswered.
	harness.Eventually(t, "the token counts as used", func() bool {
		answer := gateway.Logout(text)
		return answer.Status == http.StatusBadRequest && strings.Contains(answer.Body, "used before")
	})
}

// Whoever could not be heard is told to come again, and never that all is done.
func TestSignalsThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	key := idp.Transmits(t)
	set := func() string { return key.Sign(map[string]any{"typ": "secevent+jwt"}, idp.SETClaims(nil)) }
	away := harness.Start(t, signalled, "$IDP", idp.URL, "$STORE", "redis redis://"+harness.FreeAddress(t))
	expect := func(gateway *harness.Gateway, outcome string) {
		t.Helper()
		for kind, send := range map[string]func() harness.Answer{
			"backchannel_logout": func() harness.Answer { return gateway.Logout(idp.LogoutToken(nil)) },
			"shared_signals":     func() harness.Answer { return gateway.Push(set()) },
		} {
			counted := `caddy_gatehouse_signals_total{kind="` + kind + `",outcome="` + outcome + `"}`
			harness.Eventually(t, counted, func() bool {
				answer := send().Expect(t, http.StatusServiceUnavailable)
				if answer.Header.Get("Retry-After") == "" || answer.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%v", answer.Header)
				}
				return strings.Contains(gateway.Metrics(), counted)
			})
		}
	}
	expect(away, "unavailable")
	idp.Fail(http.StatusServiceUnavailable)
	keyless := harness.Start(t, signalled, "$IDP", idp.URL, "$STORE", "memory "+t.TempDir())
	expect(keyless, "no_keys")
}
