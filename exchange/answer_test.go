package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/authserver"
)

// Whatever the server answers instead of what was asked for, the token is
// dropped: 502 (attack row 45).
func TestAnswersThatAreRefused(t *testing.T) {
	now := newClock().now
	askNothing := func(c *Config) { c.Scope = nil }
	tests := map[string]struct {
		change func(*Config)
		answer map[string]any
	}{
		"C11: no access_token":         {nil, map[string]any{"access_token": nil}},
		"C11: no token_type":           {nil, map[string]any{"token_type": nil}},
		"C11: no issued_token_type":    {nil, map[string]any{"issued_token_type": nil}},
		"C12: mac":                     {nil, map[string]any{"token_type": "mac"}},
		"C12: N_A":                     {nil, map[string]any{"token_type": "N_A"}},
		"C13: DPoP":                    {nil, map[string]any{"token_type": "DPoP"}},
		"a refresh token":              {nil, map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}},
		"an ID token":                  {nil, map[string]any{"issued_token_type": TypeIDToken}},
		"a type by its short word":     {nil, map[string]any{"issued_token_type": "access_token"}},
		"not the requested type":       {func(c *Config) { c.RequestedType = TypeJWT }, nil},
		"wider scope":                  {nil, map[string]any{"scope": "orders:read orders:write"}},
		"another scope":                {nil, map[string]any{"scope": "admin"}},
		"scope in other letters":       {nil, map[string]any{"scope": "Orders:read"}},
		"two scopes with a tab":        {nil, map[string]any{"scope": "orders:read\torders:write"}},
		"wider than held, none asked":  {askNothing, map[string]any{"scope": "orders:read profile"}},
		"wider scope in the JWT alone": {nil, map[string]any{"scope": nil, "access_token": jwt(map[string]any{"scope": "orders:read admin"})}},
		"wider scp in the JWT alone":   {askNothing, map[string]any{"access_token": jwt(map[string]any{"scp": []string{"admin"}})}},
		"wider scope in the JWT than said": {nil, map[string]any{
			"scope": "orders:read", "access_token": jwt(map[string]any{"scope": "orders:read admin"}),
		}},
		"wider scp in the JWT than scope": {nil, map[string]any{
			"scope": nil, "access_token": jwt(map[string]any{"scope": "orders:read", "scp": []string{"admin"}}),
		}},
		"no life":                       {nil, map[string]any{"expires_in": 0}},
		"negative life":                 {nil, map[string]any{"expires_in": -1}},
		"a JWT that has expired":        {nil, map[string]any{"access_token": jwt(map[string]any{"exp": now.Unix()})}},
		"a line break":                  {nil, map[string]any{"access_token": "a\r\nX-Admin: 1"}},
		"a blank":                       {nil, map[string]any{"access_token": "a b"}},
		"a blank alone":                 {nil, map[string]any{"access_token": " "}},
		"not ASCII":                     {nil, map[string]any{"access_token": "tökén"}},
		"too long":                      {nil, map[string]any{"access_token": strings.Repeat("a", maxIssued+1)}},
		"the caller's own token":        {nil, map[string]any{"access_token": "t"}},
		"still for the front door":      {nil, map[string]any{"access_token": jwt(map[string]any{"aud": "https://api.example"})}},
		"still for the front door, too": {nil, map[string]any{"access_token": jwt(map[string]any{"aud": []string{"x", "https://api.example"}})}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.change)
			r.sts.answers(r.sts.issue(test.answer))
			for range 2 { // it is not remembered either
				issued, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
				wantError(t, issued, err, &Error{Outcome: OutcomeBadAnswer, Status: 502, Code: "server_error"})
			}
			if r.sts.calls() != 2 || r.state.Len() != 0 {
				t.Errorf("%d calls, %d kept", r.sts.calls(), r.state.Len())
			}
		})
	}
}

func TestAnswersThatAreAccepted(t *testing.T) {
	soon := newClock().now.Add(time.Minute)
	askNothing := func(c *Config) { c.Scope = nil }
	tests := map[string]struct {
		change func(*Config)
		answer map[string]any
		scope  []string
		expiry time.Duration
	}{
		"C12: bearer in any letters":      {nil, map[string]any{"token_type": "bEARER"}, []string{"orders:read"}, 5 * time.Minute},
		"a JWT":                           {nil, map[string]any{"issued_token_type": TypeJWT}, []string{"orders:read"}, 5 * time.Minute},
		"C11: no scope is what was asked": {nil, map[string]any{"scope": nil}, []string{"orders:read"}, 5 * time.Minute},
		"fewer scopes than asked":         {nil, map[string]any{"scope": ""}, []string{}, 5 * time.Minute},
		"none asked, within what is held": {askNothing, map[string]any{"scope": "orders:read"}, []string{"orders:read"}, 5 * time.Minute},
		"none asked, none said":           {askNothing, nil, nil, 5 * time.Minute},
		"none asked, said by the JWT": {
			askNothing,
			map[string]any{"access_token": jwt(map[string]any{"scope": []string{"orders:read"}})},
			[]string{"orders:read"},
			5 * time.Minute,
		},
		"the answer's word counts before the JWT's": {
			nil, map[string]any{"access_token": jwt(map[string]any{"scp": "Orders.Read"})}, []string{"orders:read"}, 5 * time.Minute,
		},
		"a JWT's exp shortens": {
			nil, map[string]any{"access_token": jwt(map[string]any{"exp": soon.Unix()})}, []string{"orders:read"}, time.Minute,
		},
		"a JWT's exp does not lengthen": {
			nil,
			map[string]any{"expires_in": 60, "access_token": jwt(map[string]any{"exp": soon.Unix() + 3600})},
			[]string{"orders:read"},
			time.Minute,
		},
		"a JWT's exp alone": {
			nil, map[string]any{"expires_in": nil, "access_token": jwt(map[string]any{"exp": soon.Unix()})}, []string{"orders:read"}, time.Minute,
		},
		"for the target": {
			nil,
			map[string]any{"access_token": jwt(map[string]any{"aud": []string{"https://api.example", "orders"}})},
			[]string{"orders:read"},
			5 * time.Minute,
		},
		"for the target by another name": {
			nil, map[string]any{"access_token": jwt(map[string]any{"aud": "https://orders.internal"})}, []string{"orders:read"}, 5 * time.Minute,
		},
		"no target was named": {
			func(c *Config) { c.Audience = nil },
			map[string]any{"access_token": jwt(map[string]any{"aud": "https://api.example"})},
			[]string{"orders:read"},
			5 * time.Minute,
		},
		"the longest": {nil, map[string]any{"access_token": strings.Repeat("a", maxIssued)}, []string{"orders:read"}, 5 * time.Minute},
		"claims of odd kinds": {
			nil,
			map[string]any{"access_token": jwt(map[string]any{"exp": "soon", "aud": 1, "scope": []any{1}, "scp": true, "jti": []int{}})},
			[]string{"orders:read"},
			5 * time.Minute,
		},
		"exp beyond time": {
			nil, map[string]any{"access_token": jwt(map[string]any{"exp": 1e300})}, []string{"orders:read"}, 5 * time.Minute,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, test.change)
			r.sts.answers(r.sts.issue(test.answer))
			issued, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.scope, issued.Scope); diff != "" {
				t.Error(diff)
			}
			if got := issued.Expiry.Sub(r.clock.Now()); got != test.expiry {
				t.Errorf("expiry in %v, want %v", got, test.expiry)
			}
		})
	}
}

func TestIssuedID(t *testing.T) {
	for text, want := range map[string]string{
		"3f2c": "3f2c", "with a blank": "", "line\nbreak": "", strings.Repeat("a", maxID+1): "",
	} {
		if got := readClaims(jwt(map[string]any{"jti": text})).id; got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// The operator learns which scopes were too many, in words that cannot forge a
// log line.
func TestWiderScopeIsNamed(t *testing.T) {
	got := printable([]string{"profile", "a\nb", strings.Repeat("x", 65), "email", "four", "five", "six"})
	if want := "profile … … email four"; got != want {
		t.Errorf("%q", got)
	}
}

// FuzzAnswer: whatever a server issues, what is accepted can stand in a header
// and may do no more than was asked for.
func FuzzAnswer(f *testing.F) {
	f.Add("issued", "Bearer", TypeAccessToken, "orders:read", 300)
	f.Add(jwt(map[string]any{"exp": 1, "aud": "a", "scope": "x"}), "bearer", TypeJWT, "", 0)
	f.Add("a\nb", "N_A", "", " ", -1)
	f.Add("eyJhbGciOiJFUzI1NiJ9.e30.c2ln", "Bearer", TypeAccessToken, "\t", 1)
	x := newRig(f, nil)
	caller := x.caller("t", "orders:read")
	f.Fuzz(func(t *testing.T, text, tokenType, issuedType, scope string, life int) {
		answer := &authserver.TokenResponse{
			AccessToken: authserver.NewSecret(text), TokenType: tokenType, IssuedTokenType: issuedType,
			Scope: strings.Split(scope, " "), HasScope: scope != "",
			ExpiresIn: time.Duration(life), HasExpiresIn: life != 0, SentAt: x.clock.Now(),
		}
		checked, err := x.accept(t.Context(), &grant{
			leg: x.last(), caller: caller, subject: caller.Raw, asked: []string{"orders:read"}, answer: answer,
		})
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("a line break in %q", err)
			}
			return
		}
		issued, times := x.issue(checked)
		if issued.Token.IsZero() || !visible(text) || len(text) > maxIssued || text == "t" {
			t.Errorf("accepted %q", text)
		}
		for _, granted := range issued.Scope {
			if granted != "orders:read" {
				t.Errorf("granted %q", granted)
			}
		}
		if times.keepUntil.After(caller.Token.Expiry) || times.keepUntil.After(answer.SentAt.Add(DefaultMaxTTL)) {
			t.Errorf("kept until %v", times.keepUntil)
		}
		if text := fmt.Sprintf("%+v", issued); strings.Contains(text, answer.AccessToken.Reveal()) && len(answer.AccessToken.Reveal()) > 24 {
			t.Errorf("printed: %s", text)
		}
	})
}
