package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
)

// The answers of the failure table. Each row is seen before the configuration
// has ever worked, and after it has.
func TestFailures(t *testing.T) {
	var (
		rejected      = &Error{Outcome: OutcomeSubjectRejected, Status: 401, Code: "invalid_token"}
		stepUp        = &Error{Outcome: OutcomeStepUp, Status: 401, Code: "insufficient_user_authentication"}
		denied        = &Error{Outcome: OutcomePolicyDenied, Status: 403, Code: "access_denied"}
		scopeless     = &Error{Outcome: OutcomeInsufficientScope, Status: 403, Code: "insufficient_scope", Scope: []string{"orders:read", "orders:write"}}
		misconfigured = &Error{Outcome: OutcomeConfig, Status: 502, Code: "exchange_misconfigured"}
		badAnswer     = &Error{Outcome: OutcomeBadAnswer, Status: 502, Code: "server_error"}
		down          = func(retry time.Duration) *Error {
			return &Error{Outcome: OutcomeServerDown, Status: 503, Code: "temporarily_unavailable", RetryAfter: retry}
		}
	)
	tests := map[string]struct {
		answer         http.HandlerFunc
		unproved, good *Error // before the first success, and after one
	}{
		"invalid_grant":                    {refuse(400, "invalid_grant"), rejected, rejected},
		"invalid_request":                  {refuse(400, "invalid_request"), misconfigured, denied},
		"invalid_target":                   {refuse(400, "invalid_target"), misconfigured, denied},
		"invalid_scope":                    {refuse(400, "invalid_scope"), misconfigured, scopeless},
		"an unknown code":                  {refuse(400, "no_luck_today"), misconfigured, denied},
		"interaction_required":             {refuse(400, "interaction_required"), stepUp, stepUp},
		"insufficient_user_authentication": {refuse(401, "insufficient_user_authentication"), stepUp, stepUp},
		"login_required":                   {refuse(400, "login_required"), stepUp, stepUp},
		"consent_required":                 {refuse(400, "consent_required"), denied, denied},
		"access_denied with 400":           {refuse(400, "access_denied"), denied, denied},
		"access_denied with 401":           {refuse(401, "access_denied"), denied, denied},
		"access_denied with 403":           {refuse(403, "access_denied"), denied, denied},
		"invalid_client":                   {refuse(401, "invalid_client"), misconfigured, misconfigured},
		"invalid_client with 400":          {refuse(400, "invalid_client"), misconfigured, misconfigured},
		"unauthorized_client":              {refuse(400, "unauthorized_client"), misconfigured, misconfigured},
		"unsupported_grant_type":           {refuse(400, "unsupported_grant_type"), misconfigured, misconfigured},
		"use_dpop_nonce":                   {refuse(400, "use_dpop_nonce"), misconfigured, misconfigured},
		"401 without a code":               {refuse(401, ""), misconfigured, misconfigured},
		"403 without a code":               {refuse(403, ""), misconfigured, misconfigured},
		"400 without a code":               {refuse(400, ""), badAnswer, badAnswer},
		"404":                              {refuse(404, ""), badAnswer, badAnswer},
		"429":                              {refuse(429, ""), down(5 * time.Second), down(5 * time.Second)},
		"429 and wait":                     {wait("17", refuse(429, "")), down(17 * time.Second), down(17 * time.Second)},
		"429 and wait for an hour":         {wait("3600", refuse(429, "")), down(time.Minute), down(time.Minute)},
		"slow_down":                        {wait("9", refuse(400, "slow_down")), down(9 * time.Second), down(9 * time.Second)},
		"temporarily_unavailable":          {wait("9", refuse(503, "temporarily_unavailable")), down(9 * time.Second), down(9 * time.Second)},
		"500":                              {refuse(500, ""), down(5 * time.Second), down(5 * time.Second)},
		"502 and wait":                     {wait("60", refuse(502, "")), down(5 * time.Second), down(5 * time.Second)},
		"500 with a code":                  {refuse(500, "invalid_grant"), down(5 * time.Second), down(5 * time.Second)},
		"server_error with 400":            {refuse(400, "server_error"), down(5 * time.Second), down(5 * time.Second)},
		"reset":                            {hangUp, down(5 * time.Second), down(5 * time.Second)},
		"redirect":                         {http.RedirectHandler("https://elsewhere.example", http.StatusTemporaryRedirect).ServeHTTP, badAnswer, badAnswer},
		"not JSON":                         {page, badAnswer, badAnswer},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, proved := range []bool{false, true} {
				r := newRig(t, nil)
				want := test.unproved
				if proved {
					want = test.good
					if _, err := r.Exchange(t.Context(), r.caller("somebody", "orders:read")); err != nil {
						t.Fatal(err)
					}
				}
				r.sts.answers(test.answer)
				before := r.sts.calls()
				for range 2 {
					issued, err := r.Exchange(t.Context(), r.caller("CANARY", "orders:read"))
					wantError(t, issued, err, want)
					noCanary(t, err)
				}
				wantCalls := 2
				switch {
				case want.Outcome.definitive():
					wantCalls = 1 // remembered for a moment
				case want.Outcome == OutcomeServerDown && asksForPause[name]:
					wantCalls = 1
				case slices.Contains([]string{"500", "500 with a code", "reset"}, name):
					wantCalls = 4 // each tried once more
				}
				if calls := r.sts.calls() - before; calls != wantCalls {
					t.Errorf("%d calls for two requests, want %d", calls, wantCalls)
				}
			}
		})
	}
}

// asksForPause are the rows in which the server asks to be left alone.
var asksForPause = map[string]bool{
	"429": true, "429 and wait": true, "429 and wait for an hour": true, "slow_down": true, "temporarily_unavailable": true,
}

func wait(seconds string, answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", seconds)
		answer(w, r)
	}
}

// noCanary looks for what was sent in everything that may be printed.
func noCanary(t *testing.T, err error) {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v", err, *failure, failure), failure.Public, failure.ASCode} {
		if strings.Contains(text, "CANARY") {
			t.Errorf("a secret is in %q", text)
		}
	}
}

// A server that is left alone costs a 503 that says when to come back, and no
// call.
func TestServerLeftAlone(t *testing.T) {
	fresh := newRig(t, nil)
	fresh.sts.answers(hangUp)
	var failure *Error
	for range 10 {
		_, err := fresh.Exchange(t.Context(), fresh.caller("CANARY", "orders:read"))
		if !errors.As(err, &failure) || failure.Status != http.StatusServiceUnavailable || failure.RetryAfter <= 0 {
			t.Fatalf("%+v, %v", failure, err)
		}
	}
	var pause *authserver.Pause
	if !errors.As(failure, &pause) || pause.Reason != authserver.PauseOpen || failure.RetryAfter != pause.RetryAfter {
		t.Errorf("%v", failure)
	}
	if calls := fresh.sts.calls(); calls > 5 {
		t.Errorf("%d calls", calls)
	}
	busy := &slowServer{err: &authserver.Pause{Reason: authserver.PauseBusy, RetryAfter: time.Second}}
	x, err := New(Config{Leg: Leg{Client: busy}, State: newState(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = x.Exchange(t.Context(), callerAt(time.Now(), "t"))
	if !errors.As(err, &failure) || failure.Status != http.StatusServiceUnavailable || failure.RetryAfter != time.Second {
		t.Errorf("%+v, %v", failure, err)
	}
}

func TestFailureNamesTheAnswer(t *testing.T) {
	r := newRig(t, nil)
	r.sts.answers(refuse(403, "access_denied"))
	_, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
	var failure *Error
	if !errors.As(err, &failure) || failure.ASStatus != 403 || failure.ASCode != "access_denied" {
		t.Errorf("%+v", failure)
	}
	if _, ok := errors.AsType[*authserver.Refusal](err); !ok {
		t.Errorf("the cause is lost: %v", err)
	}
}

func TestServerGone(t *testing.T) {
	r := newRig(t, nil)
	r.sts.server.Close()
	issued, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
	wantError(t, issued, err, &Error{Outcome: OutcomeServerDown, Status: 503, Code: "temporarily_unavailable", RetryAfter: 5 * time.Second})
}

func TestServerHangs(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, nil)
	t.Cleanup(func() { close(release) })
	slow := newExchanger(t, r.sts, r.clock, func(c *Config) { c.Client = r.sts.client(100*time.Millisecond, r.clock.Now) })
	r.sts.answers(func(http.ResponseWriter, *http.Request) { <-release })
	issued, err := slow.Exchange(t.Context(), r.caller("t", "orders:read"))
	wantError(t, issued, err, &Error{Outcome: OutcomeTimeout, Status: 504, Code: "temporarily_unavailable"})
}

// A caller that leaves gets its own context's error and nothing else.
func TestCallerLeaves(t *testing.T) {
	release, asked := make(chan struct{}), make(chan struct{})
	r := newRig(t, nil)
	t.Cleanup(func() { close(release) })
	r.sts.answers(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	issued, err := r.Exchange(ctx, r.caller("t", "orders:read"))
	var failure *Error
	if issued != nil || !errors.Is(err, context.Canceled) || errors.As(err, &failure) {
		t.Errorf("issued %v, error %v", issued, err)
	}
	if OutcomeOf(issued, err) != OutcomeCanceled {
		t.Errorf("outcome %s", OutcomeOf(issued, err))
	}
	if _, err := r.Exchange(ctx, r.caller("u", "orders:read")); !errors.Is(err, context.Canceled) || r.sts.calls() != 1 {
		t.Errorf("a caller that is gone: %v after %d calls", err, r.sts.calls())
	}
}

// While the server is down, a token that was due to be replaced serves until its
// end; a refusal ends it at once.
func TestServedWhileServerIsDown(t *testing.T) {
	r := newRig(t, nil)
	caller := r.caller("t", "orders:read")
	first, err := r.Exchange(t.Context(), caller)
	if err != nil {
		t.Fatal(err)
	}
	r.clock.pass(5*time.Minute - 30*time.Second)
	r.sts.answers(refuse(503, ""))
	issued, err := r.Exchange(t.Context(), caller)
	if err != nil {
		t.Fatal(err)
	}
	if issued.Token != first.Token || !issued.Cached || issued.Degraded == nil || issued.Degraded.Outcome != OutcomeServerDown {
		t.Errorf("issued %+v", issued)
	}
	r.sts.answers(refuse(400, "invalid_grant"))
	if _, err := r.Exchange(t.Context(), caller); OutcomeOf(nil, err) != OutcomeSubjectRejected {
		t.Errorf("a refusal: %v", err)
	}
	r.clock.pass(30 * time.Second)
	r.sts.answers(hangUp)
	if _, err := r.Exchange(t.Context(), caller); OutcomeOf(nil, err) != OutcomeServerDown {
		t.Errorf("past its end: %v", err)
	}
}

// What the success memory makes of the same refusal.
func TestSuccessMemory(t *testing.T) {
	r := newRig(t, nil)
	outcome := func(text string) Outcome {
		t.Helper()
		issued, err := r.Exchange(t.Context(), r.caller(text, "orders:read"))
		return OutcomeOf(issued, err)
	}
	want := func(step string, got, want Outcome) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %s, want %s", step, got, want)
		}
	}
	refused := refuse(400, "invalid_request")
	want("a success", outcome("a"), OutcomeOK)
	r.sts.answers(refused)
	for range 5 {
		want("one subject again and again", outcome("b"), OutcomePolicyDenied)
	}
	r.clock.pass(9*time.Minute + 59*time.Second)
	want("just within ten minutes", outcome("c"), OutcomePolicyDenied)
	r.clock.pass(refusalHolds)
	want("after ten minutes", outcome("c"), OutcomeConfig)

	r.sts.answers(r.sts.issue(nil))
	want("a success again", outcome("d"), OutcomeOK)
	r.sts.answers(refused)
	want("first of three", outcome("e"), OutcomePolicyDenied)
	want("second of three", outcome("f"), OutcomePolicyDenied)
	want("third of three", outcome("g"), OutcomeConfig)
	r.clock.pass(refusalHolds)
	want("the first again", outcome("e"), OutcomeConfig)
	r.clock.pass(time.Minute)
	want("later", outcome("e"), OutcomeConfig)

	r.sts.answers(r.sts.issue(nil))
	want("a third success", outcome("h"), OutcomeOK)
	r.sts.answers(refused)
	want("one", outcome("i"), OutcomePolicyDenied)
	want("two", outcome("j"), OutcomePolicyDenied)
	r.clock.pass(31 * time.Second)
	want("three, but not within thirty seconds", outcome("k"), OutcomePolicyDenied)
}

// A reload that breaks the request is not vouched for by what worked before it.
func TestSuccessMemoryKeepsConfigurationsApart(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.Exchange(t.Context(), r.caller("a", "orders:read")); err != nil {
		t.Fatal(err)
	}
	r.sts.answers(refuse(400, "invalid_target"))
	changed := newExchanger(t, r.sts, r.clock, func(c *Config) { c.State, c.Audience = r.state, []string{"ordres"} })
	_, err := changed.Exchange(t.Context(), r.caller("b", "orders:read"))
	if got := OutcomeOf(nil, err); got != OutcomeConfig {
		t.Errorf("after a change: %s", got)
	}
	same := newExchanger(t, r.sts, r.clock, func(c *Config) { c.State = r.state })
	_, err = same.Exchange(t.Context(), r.caller("b", "orders:read"))
	if got := OutcomeOf(nil, err); got != OutcomePolicyDenied {
		t.Errorf("after a reload without a change: %s", got)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var m memory
	start := newClock().now
	for i := range 2 * maxRecords {
		m.succeeded(fingerprint{byte(i), byte(i >> 8)}, start.Add(time.Duration(i)*time.Second))
	}
	if len(m.records) != maxRecords {
		t.Errorf("%d records", len(m.records))
	}
	last := 2*maxRecords - 1
	if m.records[fingerprint{byte(last), byte(last >> 8)}] == nil {
		t.Error("the newest was dropped")
	}
}
