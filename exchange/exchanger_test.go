package exchange

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestExchangeSends(t *testing.T) {
	common := url.Values{
		"grant_type":         {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token":      {"t"},
		"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}
	tests := map[string]struct {
		change func(*Config)
		held   []string
		want   url.Values // beside the common ones
	}{
		"the least": {
			func(c *Config) { c.Audience, c.Scope = nil, nil },
			[]string{"a"},
			url.Values{},
		},
		"scope is what the caller holds of the ceiling": {
			nil,
			[]string{"other", "orders:read", "orders:reader"},
			url.Values{"audience": {"orders"}, "scope": {"orders:read"}},
		},
		"the whole ceiling": {
			nil,
			[]string{"orders:write", "orders:read"},
			url.Values{"audience": {"orders"}, "scope": {"orders:read orders:write"}},
		},
		"everything": {
			func(c *Config) {
				c.Audience = []string{"b", "a"}
				c.Resource = []string{"https://orders.example/x"}
				c.SubjectType, c.RequestedType = "urn:example:own", TypeJWT
				c.Accept.Issued = []string{TypeAccessToken}
				c.Params = []Param{{"connector_id", "ldap"}}
			},
			[]string{"orders:read"},
			url.Values{
				"audience": {"b", "a"}, "resource": {"https://orders.example/x"}, "scope": {"orders:read"},
				"subject_token_type": {"urn:example:own"}, "requested_token_type": {TypeJWT}, "connector_id": {"ldap"},
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.change)
			issued, err := r.Exchange(t.Context(), r.caller("t", test.held...))
			if err != nil {
				t.Fatal(err)
			}
			want := url.Values{}
			for _, values := range []url.Values{common, test.want} {
				maps.Copy(want, values)
			}
			if diff := cmp.Diff(want, r.sts.lastForm()); diff != "" {
				t.Error(diff)
			}
			if issued.Cached || OutcomeOf(issued, nil) != OutcomeOK {
				t.Errorf("issued %+v", issued)
			}
		})
	}
}

// What keeps a token from being sent at all.
func TestExchangeSendsNothing(t *testing.T) {
	tests := map[string]struct {
		change func(*Caller)
		want   Error
	}{
		"attack row 51: another issuer": {
			func(c *Caller) { c.Token.Issuer = testIssuer + "/" },
			Error{Outcome: OutcomeForeignIssuer, Status: 403, Code: "access_denied"},
		},
		"attack row 50: no scope of the ceiling": {
			func(c *Caller) { c.Token.Scopes = []string{"orders", "orders:read:all"} },
			Error{Outcome: OutcomeInsufficientScope, Status: 403, Code: "insufficient_scope", Scope: []string{"orders:read", "orders:write"}},
		},
		"no scope at all": {
			func(c *Caller) { c.Token.Scopes = nil },
			Error{Outcome: OutcomeInsufficientScope, Status: 403, Code: "insufficient_scope", Scope: []string{"orders:read", "orders:write"}},
		},
		"good by the leeway alone": {
			func(c *Caller) { c.Token.Expiry = newClock().now },
			Error{Outcome: OutcomeSubjectRejected, Status: 401, Code: "invalid_token"},
		},
		"claims of another token": {
			func(c *Caller) { c.Token.Digest[0]++ },
			Error{Outcome: OutcomeFault, Status: 500, Code: "server_error"},
		},
		"no claims": {
			func(c *Caller) { c.Token = nil },
			Error{Outcome: OutcomeFault, Status: 500, Code: "server_error"},
		},
		"no token": {
			func(c *Caller) { *c = Caller{Token: callerAt(newClock().now, "").Token} },
			Error{Outcome: OutcomeFault, Status: 500, Code: "server_error"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			// The state knows this very token: a hit must not skip the checks.
			if _, err := r.Exchange(t.Context(), r.caller("t", "orders:read")); err != nil {
				t.Fatal(err)
			}
			caller := r.caller("t", "orders:read")
			test.change(&caller)
			issued, err := r.Exchange(t.Context(), caller)
			wantError(t, issued, err, &test.want)
			if calls := r.sts.calls(); calls != 1 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

// wantError compares what the caller is told.
func wantError(t *testing.T, issued *Issued, err error, want *Error) {
	t.Helper()
	var got *Error
	if !errors.As(err, &got) {
		t.Fatalf("error %v, issued %v", err, issued)
	}
	if issued != nil {
		t.Errorf("an error with a token: %v", issued)
	}
	ignore := cmpopts.IgnoreFields(Error{}, "Public", "ASStatus", "ASCode")
	if diff := cmp.Diff(want, got, ignore, cmpopts.IgnoreUnexported(Error{})); diff != "" {
		t.Error(diff)
	}
	if got.Public == "" {
		t.Error("nothing is told to the caller")
	}
	if OutcomeOf(nil, err) != want.Outcome {
		t.Errorf("outcome %s", OutcomeOf(nil, err))
	}
}

func TestExchangeIsRemembered(t *testing.T) {
	r := newRig(t, nil)
	first, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
	if err != nil {
		t.Fatal(err)
	}
	second, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
	if err != nil {
		t.Fatal(err)
	}
	if second.Token != first.Token || !second.Cached || OutcomeOf(second, nil) != OutcomeHit || r.sts.calls() != 1 {
		t.Errorf("second %+v after %d calls", second, r.sts.calls())
	}
	if diff := cmp.Diff([]string{"orders:read"}, second.Scope); diff != "" {
		t.Error(diff)
	}
	if want := r.clock.Now().Add(5 * time.Minute); !second.Expiry.Equal(want) {
		t.Errorf("expiry %v, want %v", second.Expiry, want)
	}
}

// Attack row 18: whatever two callers have in common, they share no token.
func TestExchangeNeverCrosses(t *testing.T) {
	prefix := "eyJhbGciOiJFUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJhbGljZSJ9."
	r := newRig(t, nil)
	base := r.caller(prefix+"one", "orders:read", "orders:write")
	if _, err := r.Exchange(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	sameToken := base
	fewer := *base.Token
	fewer.Scopes = []string{"orders:read"}
	sameToken.Token = &fewer
	sameSubject := r.caller(prefix+"two", "orders:read", "orders:write")
	sameSubject.Token.Subject = base.Token.Subject
	for name, caller := range map[string]Caller{"a common prefix, the same sub": sameSubject, "fewer scopes": sameToken} {
		before := r.sts.calls()
		issued, err := r.Exchange(t.Context(), caller)
		if err != nil {
			t.Fatal(err)
		}
		if issued.Cached || r.sts.calls() != before+1 {
			t.Errorf("%s: served from memory", name)
		}
	}
}

// Two exchanges over one state share nothing that one of them would not have
// accepted itself.
func TestExchangersOverOneState(t *testing.T) {
	fake, at, state := newSTS(t), newClock(), newState(t, 100)
	exchanger := func(change func(*Config)) *Exchanger {
		return newExchanger(t, fake, at, func(c *Config) {
			c.State = state
			if change != nil {
				change(c)
			}
		})
	}
	caller := callerAt(at.Now(), "t", "orders:read")
	calls := func(x *Exchanger) int {
		before := fake.calls()
		if _, err := x.Exchange(t.Context(), caller); err != nil {
			t.Fatal(err)
		}
		return fake.calls() - before
	}
	if first, again := calls(exchanger(nil)), calls(exchanger(nil)); first != 1 || again != 0 {
		t.Error("the same configuration does not find what it knew")
	}
	for name, change := range map[string]func(*Config){
		"audience":       func(c *Config) { c.Audience = []string{"stock"} },
		"more audiences": func(c *Config) { c.Audience = []string{"orders", "stock"} },
		"resource":       func(c *Config) { c.Audience, c.Resource = nil, []string{"urn:orders"} },
		"no scope":       func(c *Config) { c.Scope = nil },
		"subject type":   func(c *Config) { c.SubjectType = TypeJWT },
		"requested type": func(c *Config) { c.RequestedType = TypeAccessToken },
		"param":          func(c *Config) { c.Params = []Param{{"a", "b"}} },
		"max_ttl":        func(c *Config) { c.MaxTTL = time.Minute },
		"accept":         func(c *Config) { c.Accept.Issued = []string{TypeAccessToken} },
	} {
		if calls(exchanger(change)) != 1 {
			t.Errorf("%s: served what another exchange got", name)
		}
	}
}

func TestExchangeTTL(t *testing.T) {
	r := newRig(t, nil)
	exchange := func(caller Caller) bool {
		t.Helper()
		issued, err := r.Exchange(t.Context(), caller)
		if err != nil {
			t.Fatal(err)
		}
		return issued.Cached
	}
	// Two callers: the use of a token this late sets off the call for the next one.
	caller, other := r.caller("t", "orders:read"), r.caller("s", "orders:read")
	exchange(caller)
	exchange(other)
	r.clock.pass(5*time.Minute - 30*time.Second - time.Nanosecond)
	if !exchange(caller) {
		t.Error("not used until the margin begins")
	}
	r.clock.pass(time.Nanosecond)
	if exchange(other) {
		t.Error("used within the margin")
	}
	// A token whose end nobody knows is used once.
	r.sts.answers(r.sts.issue(map[string]any{"expires_in": nil}))
	unknown := r.caller("u", "orders:read")
	if first, again := exchange(unknown), exchange(unknown); first || again {
		t.Error("kept without knowing how long")
	}
	// So is one that lives no longer than its margin.
	r.sts.answers(r.sts.issue(map[string]any{"expires_in": 2}))
	short := r.caller("v", "orders:read")
	if first, again := exchange(short), exchange(short); first || again {
		t.Error("kept within its margin")
	}
	// And one of a caller whose own token is about to end.
	r.sts.answers(r.sts.issue(nil))
	ending := r.caller("w", "orders:read")
	ending.Token.Expiry = r.clock.Now().Add(2 * time.Second)
	if first, again := exchange(ending), exchange(ending); first || again {
		t.Error("kept although the caller's token ends")
	}
}

func TestExchangeMaxTTL(t *testing.T) {
	for name, test := range map[string]struct {
		maxTTL, reused time.Duration
	}{
		"default":    {0, 5*time.Minute - 30*time.Second},
		"configured": {time.Minute, time.Minute - 6*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.MaxTTL = test.maxTTL })
			r.sts.answers(r.sts.issue(map[string]any{"expires_in": 3600}))
			// Two callers: the use of a token this late sets off the call for the next one.
			caller, other := r.caller("t", "orders:read"), r.caller("s", "orders:read")
			for _, step := range []struct {
				after  time.Duration
				caller Caller
				cached bool
			}{{0, caller, false}, {0, other, false}, {test.reused - 1, caller, true}, {1, other, false}} {
				r.clock.pass(step.after)
				issued, err := r.Exchange(t.Context(), step.caller)
				if err != nil {
					t.Fatal(err)
				}
				if issued.Cached != step.cached {
					t.Errorf("%v later: cached %v", step.after, issued.Cached)
				}
				if issued.Expiry.Before(r.clock.Now().Add(50 * time.Minute)) {
					t.Errorf("max_ttl shortens the token itself: %v", issued.Expiry)
				}
			}
		})
	}
}

// What is used once leaves nothing behind, not even for a server that is down.
func TestExchangeKeepsNothingShort(t *testing.T) {
	r := newRig(t, nil)
	r.sts.answers(r.sts.issue(map[string]any{"expires_in": 2}))
	if _, err := r.Exchange(t.Context(), r.caller("t", "orders:read")); err != nil {
		t.Fatal(err)
	}
	if r.state.Len() != 0 {
		t.Errorf("%d kept", r.state.Len())
	}
}

func TestExchangeWithoutCache(t *testing.T) {
	r := newRig(t, func(c *Config) { c.State = newState(t, 0) })
	for range 2 {
		issued, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
		if err != nil || issued.Cached {
			t.Fatalf("issued %+v, error %v", issued, err)
		}
	}
	if r.sts.calls() != 2 || r.state.Len() != 0 {
		t.Errorf("%d calls, %d kept", r.sts.calls(), r.state.Len())
	}
}

func TestExchangeObserve(t *testing.T) {
	type mark struct{}
	var seen []string
	r := newRig(t, func(c *Config) {
		c.Observe = func(caller, call context.Context) (context.Context, func(error)) {
			if caller.Value(mark{}) != "first" || call.Value(mark{}) != nil {
				t.Error("the call has the caller's values")
			}
			return call, func(err error) { seen = append(seen, string(OutcomeOf(&Issued{}, err))) }
		}
	})
	ctx := context.WithValue(t.Context(), mark{}, "first")
	_, _ = r.Exchange(ctx, r.caller("t", "orders:read"))
	_, _ = r.Exchange(ctx, r.caller("t", "orders:read")) // a hit is no call
	r.sts.answers(refuse(400, "invalid_grant"))
	_, _ = r.Exchange(ctx, r.caller("u", "orders:read"))
	if diff := cmp.Diff([]string{"ok", "subject_rejected"}, seen); diff != "" {
		t.Error(diff)
	}
}

func TestNewRefuses(t *testing.T) {
	fake, at := newSTS(t), newClock()
	good := Config{Leg: Leg{Client: fake.client(0, at.Now)}, State: newState(t, 1), SubjectIssuers: []string{testIssuer}}
	for name, change := range map[string]func(*Config){
		"no client":              func(c *Config) { c.Client = nil },
		"no state":               func(c *Config) { c.State = nil },
		"nobody's tokens":        func(c *Config) { c.SubjectIssuers = nil },
		"an empty audience":      func(c *Config) { c.Audience = []string{""} },
		"a relative resource":    func(c *Config) { c.Resource = []string{"/orders"} },
		"a resource's fragment":  func(c *Config) { c.Resource = []string{"https://orders.example/#x"} },
		"a scope of two":         func(c *Config) { c.Scope = []string{"a b"} },
		"an empty scope":         func(c *Config) { c.Scope = []string{""} },
		"a param of the request": func(c *Config) { c.Params = []Param{{"subject_token", "x"}} },
		"a param of the client":  func(c *Config) { c.Params = []Param{{"client_secret", "x"}} },
		"a param without a name": func(c *Config) { c.Params = []Param{{"", "x"}} },
	} {
		config := good
		change(&config)
		if _, err := New(config); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(good); err != nil {
		t.Error(err)
	}
}

func TestParseTokenType(t *testing.T) {
	for word, want := range map[string]string{
		"access_token": TypeAccessToken, "id_token": TypeIDToken, "jwt": TypeJWT,
		"urn:example:own": "urn:example:own", "https://example.com/t": "https://example.com/t",
		"": "", "saml": "", "https://example.com/#t": "", "urn:x#": "", "/t": "",
	} {
		got, err := ParseTokenType(word)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", word, got, err)
		}
	}
}
