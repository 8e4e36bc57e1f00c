package exchange

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"testing"

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
