package exchange

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Between 67.5 and 82.5 percent of a life the next request has the token renewed,
// without waiting for it, and only one does.
func TestExchangeRenewsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &slowServer{takes: time.Second}
		x, _ := newSlow(t, server)
		caller := callerAt(time.Now(), "t")
		outcome := func() Outcome {
			issued, err := x.Exchange(t.Context(), caller)
			return OutcomeOf(issued, err)
		}
		outcome()
		<-time.After(39 * time.Second) // 40 of 60 seconds
		if got := outcome(); got != OutcomeHit || server.calls.Load() != 1 {
			t.Errorf("at two thirds: %s, %d calls", got, server.calls.Load())
		}
		<-time.After(10 * time.Second)
		began := time.Now()
		if got := outcome(); got != OutcomeRefresh || !time.Now().Equal(began) {
			t.Errorf("past the mark: %s after %v", got, time.Since(began))
		}
		for range 100 {
			if got := outcome(); got != OutcomeHit {
				t.Errorf("while it runs: %s", got)
			}
		}
		synctest.Wait()
		<-time.After(20 * time.Second)
		if got := outcome(); got != OutcomeHit || server.calls.Load() != 2 {
			t.Errorf("past the first one's end: %s, %d calls", got, server.calls.Load())
		}
	})
}

// A renewal that fails for now leaves what is there; one that is refused for good
// ends it at once.
func TestExchangeRenewalFails(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		kept   bool
	}{
		"down": {hangUp, true}, "busy": {refuse(429, ""), true}, "the gateway's fault": {refuse(401, "invalid_client"), true},
		"rejected": {refuse(400, "invalid_grant"), false}, "a login": {refuse(400, "login_required"), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			caller := r.caller("t", "orders:read")
			if _, err := r.Exchange(t.Context(), caller); err != nil {
				t.Fatal(err)
			}
			key, _ := r.key(nil, caller)
			kept := r.state.get(key)
			r.sts.answers(test.answer)
			r.clock.pass(255 * time.Second) // of 300
			r.renewAhead(key, kept, caller)
			if got := r.state.get(key) != nil; got != test.kept {
				t.Errorf("kept: %v", got)
			}
		})
	}
}

// A definitive refusal holds for ten seconds and for that very token, and is not
// held past the token's end (section 3.5).
func TestExchangeRemembersRefusals(t *testing.T) {
	r := newRig(t, nil)
	r.sts.answers(refuse(400, "invalid_grant"))
	refused := func(text string) {
		t.Helper()
		if _, err := r.Exchange(t.Context(), r.caller(text, "orders:read")); OutcomeOf(nil, err) != OutcomeSubjectRejected {
			t.Fatal(err)
		}
	}
	want := func(calls int) {
		t.Helper()
		if got := r.sts.calls(); got != calls {
			t.Errorf("%d calls, want %d", got, calls)
		}
	}
	refused("a")
	refused("a")
	want(1)
	refused("b")
	want(2)
	r.clock.pass(refusalHolds - time.Second)
	refused("a")
	want(2)
	r.clock.pass(time.Second)
	refused("a")
	want(3)
	for i := range 2 * maxRefusals {
		r.state.refusals.remember(cacheKey{byte(i), byte(i >> 8)}, newError(OutcomePolicyDenied, nil), r.clock.Now(), r.clock.Now().Add(time.Hour))
	}
	if n := len(r.state.refusals.known); n > maxRefusals {
		t.Errorf("%d refusals are kept", n)
	}
}

// Tokens are evicted by whom they were issued for (attack row 46).
func TestEvict(t *testing.T) {
	r := newRig(t, nil)
	alice, bob := r.caller("alice", "orders:read"), r.caller("bob", "orders:read")
	for _, who := range []Caller{alice, bob} {
		if _, err := r.Exchange(t.Context(), who); err != nil {
			t.Fatal(err)
		}
	}
	alices := func(o Origin) bool { return o.Issuer == testIssuer && o.Subject == alice.Token.Subject }
	if found, evicted := r.state.Count(alices), r.state.Evict(alices); found != 1 || evicted != 1 || r.state.Count(alices) != 0 {
		t.Errorf("%d found, %d evicted", found, evicted)
	}
	for _, step := range []struct {
		who   Caller
		calls int
	}{{bob, 2}, {alice, 3}} {
		if _, err := r.Exchange(t.Context(), step.who); err != nil || r.sts.calls() != step.calls {
			t.Errorf("%s: %v after %d calls, want %d", step.who.Token.Subject, err, r.sts.calls(), step.calls)
		}
	}
}

// What was asked for before an eviction is not stored after it (attack row 46).
func TestAttack46EvictWhileAsking(t *testing.T) {
	r := newRig(t, nil)
	issue := r.sts.issue(nil)
	r.sts.answers(func(w http.ResponseWriter, request *http.Request) {
		r.state.Evict(func(Origin) bool { return false })
		issue(w, request)
	})
	if _, err := r.Exchange(t.Context(), r.caller("t", "orders:read")); err != nil {
		t.Fatal(err)
	}
	if r.state.Len() != 0 {
		t.Error("the late answer was stored")
	}
}

// One more attempt where a fault may pass by itself, with everything else as it
// was; none with an assertion, which may be good once.
func TestExchangeTriesOnceMore(t *testing.T) {
	for name, test := range map[string]struct {
		grant  Grant
		answer http.HandlerFunc
		calls  int
	}{
		"reset":               {GrantTokenExchange, hangUp, 2},
		"503":                 {GrantTokenExchange, refuse(503, ""), 2},
		"503 and wait":        {GrantTokenExchange, wait("1", refuse(503, "")), 1},
		"429":                 {GrantTokenExchange, refuse(429, ""), 1},
		"400":                 {GrantTokenExchange, refuse(400, "invalid_grant"), 1},
		"no JSON":             {GrantTokenExchange, page, 1},
		"assertion":           {GrantJWTBearer, hangUp, 1},
		"the gateway's own":   {GrantClientCredentials, refuse(500, ""), 2},
		"assertion, 503":      {GrantJWTBearer, refuse(503, ""), 1},
		"own, invalid_client": {GrantClientCredentials, refuse(401, "invalid_client"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Grant = test.grant })
			r.sts.grant = grantTypes[test.grant]
			r.sts.answers(test.answer)
			if _, err := r.Exchange(t.Context(), r.caller("t", "orders:read")); err == nil {
				t.Fatal("it worked")
			}
			if r.sts.calls() != test.calls {
				t.Errorf("%d calls, want %d", r.sts.calls(), test.calls)
			}
			r.sts.answers(r.sts.issue(nil))
		})
	}
}

// With the gateway's own access no refusal is the caller's fault.
func TestExchangeAsGatewayFails(t *testing.T) {
	for _, code := range []string{"invalid_grant", "access_denied", "invalid_request", "invalid_scope", "login_required"} {
		r := newRig(t, func(c *Config) { c.Grant = GrantClientCredentials })
		r.sts.grant = grantTypes[GrantClientCredentials]
		if _, err := r.Exchange(t.Context(), r.caller("a", "orders:read")); err != nil {
			t.Fatal(err)
		}
		r.sts.answers(refuse(400, code))
		_, err := r.Exchange(t.Context(), r.caller("b", "orders:write"))
		if got := OutcomeOf(nil, err); got != OutcomeConfig {
			t.Errorf("%s: %s", code, got)
		}
	}
}

// A checker tells a session that is over from a right that is missing.
func TestExchangeAsksAboutTheSubject(t *testing.T) {
	for name, test := range map[string]struct {
		checker checker
		want    Outcome
	}{
		"over":          {checker{active: false}, OutcomeSubjectRejected},
		"good":          {checker{active: true}, OutcomePolicyDenied},
		"nobody knows":  {checker{err: errors.New("down")}, OutcomePolicyDenied},
		"and no active": {checker{active: true, err: errors.New("down")}, OutcomePolicyDenied},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Checker = test.checker })
			if _, err := r.Exchange(t.Context(), r.caller("a", "orders:read")); err != nil {
				t.Fatal(err)
			}
			r.sts.answers(refuse(400, "invalid_request"))
			_, err := r.Exchange(t.Context(), r.caller("b", "orders:read"))
			if got := OutcomeOf(nil, err); got != test.want {
				t.Errorf("%s", got)
			}
		})
	}
}

type checker struct {
	active bool
	err    error
}

func (c checker) Active(context.Context, string, token.Raw) (bool, error) { return c.active, c.err }

// A refused token is replaced once for all who bring it, and not again at once.
func TestReplace(t *testing.T) {
	r := newRig(t, nil)
	caller := r.caller("t", "orders:read")
	first, err := r.Exchange(t.Context(), caller)
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Replace(t.Context(), caller, first)
	if err != nil || second.Token == first.Token {
		t.Fatalf("%v, %v", second, err)
	}
	third, err := r.Replace(t.Context(), caller, first) // a late one with the same old token
	if err != nil || third.Token.Digest() != second.Token.Digest() || r.sts.calls() != 2 {
		t.Errorf("%v, %v after %d calls", third, err, r.sts.calls())
	}
	again, err := r.Exchange(t.Context(), caller)
	if err != nil || again.Token.Digest() != second.Token.Digest() {
		t.Errorf("the next request got %v, %v", again, err)
	}
	if _, err := r.Replace(t.Context(), caller, again); OutcomeOf(nil, err) != OutcomeUpstreamRefused || r.sts.calls() != 2 {
		t.Errorf("refused again: %v after %d calls", err, r.sts.calls())
	}
	r.clock.pass(replaceAgain)
	if _, err := r.Replace(t.Context(), caller, again); err != nil || r.sts.calls() != 3 {
		t.Errorf("later: %v after %d calls", err, r.sts.calls())
	}
	r.sts.answers(r.sts.issue(map[string]any{"access_token": "always-the-same"}))
	r.clock.pass(replaceAgain)
	same, err := r.Exchange(t.Context(), r.caller("u", "orders:read"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Replace(t.Context(), r.caller("u", "orders:read"), same); OutcomeOf(nil, err) != OutcomeUpstreamRefused {
		t.Errorf("the same token again: %v", err)
	}
}

// A step-up says what kind of login is wanted where the server does.
func TestExchangeStepUpNamesTheLogin(t *testing.T) {
	r := newRig(t, nil)
	r.sts.answers(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusBadRequest, map[string]any{
			"error": "insufficient_user_authentication", "acr_values": "gold", "max_age": 60, "error_description": "CANARY",
		})
	})
	_, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
	var failure *Error
	if !errors.As(err, &failure) || failure.ACRValues != "gold" || failure.MaxAge != "60" || strings.Contains(fmt.Sprint(err), "CANARY") {
		t.Errorf("%+v", err)
	}
}

// An answer that is verified must be from the issuer, for the target, in time and
// about the caller (attack row 45).
func TestExchangeVerifies(t *testing.T) {
	for name, test := range map[string]struct {
		verifier fixedVerifier
		want     Outcome
	}{
		"good":            {fixedVerifier{&token.Token{Issuer: testIssuer, Subject: "user of t"}, nil}, OutcomeOK},
		"another subject": {fixedVerifier{&token.Token{Issuer: testIssuer, Subject: "mallory"}, nil}, OutcomeBadAnswer},
		"another issuer calls the subject otherwise": {fixedVerifier{&token.Token{Issuer: "https://other", Subject: "t@corp"}, nil}, OutcomeOK},
		"refused":      {fixedVerifier{nil, token.WrongAudience}, OutcomeBadAnswer},
		"expired":      {fixedVerifier{nil, token.Expired}, OutcomeBadAnswer},
		"no keys":      {fixedVerifier{nil, fmt.Errorf("%w: %w", token.NoKeys, errors.New("down"))}, OutcomeServerDown},
		"out of time":  {fixedVerifier{nil, context.DeadlineExceeded}, OutcomeTimeout},
		"bad envelope": {fixedVerifier{nil, authserver.ErrBadAnswer}, OutcomeBadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Accept.Verifier = test.verifier })
			issued, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
			if got := OutcomeOf(issued, err); got != test.want {
				t.Errorf("%s: %v", got, err)
			}
		})
	}
}

type fixedVerifier struct {
	token *token.Token
	err   error
}

func (v fixedVerifier) Verify(context.Context, token.Raw) (*token.Token, *token.Issuer, error) {
	return v.token, nil, v.err
}
