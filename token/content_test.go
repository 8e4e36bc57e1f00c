package token_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func ruled(t *testing.T, change func(*token.Issuer)) *world {
	t.Helper()
	w := newWorld(t, "ES256")
	change(w.issuer)
	w.verifier = w.with(nil)
	return w
}

// with is a verifier of the same issuer, with the same cache, under other rules.
func (w *world) with(change func(*token.Issuer)) *token.Verifier {
	issuer := *w.issuer
	if change != nil {
		change(&issuer)
	}
	return token.NewVerifier(token.VerifierConfig{Issuers: []*token.Issuer{&issuer}, Cache: w.cache})
}

func TestTypes(t *testing.T) {
	tests := map[string]struct{ accepted, good, bad []string }{
		"default":         {nil, []string{"at+jwt", "AT+JWT", "JWT", "jwt", "", "application/at+jwt", "Application/JWT"}, []string{"logout+jwt", "application/", "at", "x/at+jwt", "application/application/JWT"}},
		"only JWT":        {[]string{"jwt"}, []string{"JWT", "application/jwt"}, []string{"", "at+jwt"}},
		"absent":          {[]string{""}, []string{""}, []string{"JWT", "at+jwt", "absent"}},
		"of the provider": {[]string{"vnd.x+jwt", ""}, []string{"VND.X+jwt", ""}, []string{"at+jwt", "JWT"}},
		"strict":          {[]string{"at+jwt"}, []string{"at+JWT", "application/at+jwt"}, []string{"", "JWT"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := ruled(t, func(i *token.Issuer) { i.Types = test.accepted })
			for want, types := range map[error][]string{nil: test.good, token.WrongType: test.bad} {
				for _, typ := range types {
					header := map[string]any{"typ": typ}
					if typ == "" {
						header["typ"] = nil
					}
					if _, err := w.verify(t, w.sign(header, nil)); !errors.Is(err, want) {
						t.Errorf("typ %q: %v, want %v", typ, err, want)
					}
				}
			}
			idToken := map[string]any{"typ": "at+jwt"}
			if _, err := w.verify(t, w.sign(idToken, map[string]any{"nonce": "n"})); !errors.Is(err, token.WrongType) {
				t.Errorf("an ID token: %v", err)
			}
		})
	}
}

// RFC 9068, section 2.2: all of these are required, and iss and exp of every token.
func TestStrictProfile(t *testing.T) {
	w := ruled(t, func(i *token.Issuer) {
		i.Types, i.Audience = []string{token.TypeAccessToken}, token.Audience{Any: true}
	})
	if _, err := w.verify(t, w.sign(nil, nil)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"exp", "aud", "sub", "client_id", "iat", "jti"} {
		if _, err := w.verify(t, w.sign(nil, map[string]any{name: nil})); !errors.Is(err, token.BadClaim) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for name, empty := range map[string]any{"aud": []any{}, "sub": "", "client_id": "", "jti": ""} {
		if _, err := w.verify(t, w.sign(nil, map[string]any{name: empty})); !errors.Is(err, token.BadClaim) {
			t.Errorf("with an empty %s: %v", name, err)
		}
	}
}

func TestMaxAge(t *testing.T) {
	w := ruled(t, func(i *token.Issuer) { i.MaxAge = 10 * time.Minute })
	ago := func(d time.Duration) any { return time.Now().Add(-d).Unix() }
	for name, test := range map[string]struct {
		iat  any
		want error
	}{
		"now":                {ago(0), nil},
		"within the leeway":  {ago(10*time.Minute + 20*time.Second), nil},
		"beyond it":          {ago(10*time.Minute + 31*time.Second), token.TooOld},
		"of 1970":            {0, token.TooOld},
		"absent":             {nil, token.BadClaim},
		"in the future":      {ago(-time.Minute), token.NotYetValid},
		"a text":             {"0", token.BadClaim},
		"of an infinite age": {-1e300, token.BadClaim},
	} {
		if _, err := w.verify(t, w.sign(nil, map[string]any{"iat": test.iat})); !errors.Is(err, test.want) {
			t.Errorf("iat %s: %v, want %v", name, err, test.want)
		}
	}
	raw := w.sign(nil, nil)
	if _, err := w.verify(t, raw); err != nil {
		t.Fatal(err)
	}
	later := token.NewVerifier(token.VerifierConfig{
		Issuers: []*token.Issuer{w.issuer}, Cache: w.cache,
		Now: func() time.Time { return time.Now().Add(11 * time.Minute) },
	})
	claims := map[string]any{"exp": time.Now().Add(time.Hour).Unix()}
	old := w.sign(nil, claims)
	if _, err := w.verify(t, old); err != nil {
		t.Fatal(err)
	}
	if _, _, err := later.Verify(t.Context(), old); !errors.Is(err, token.TooOld) {
		t.Errorf("remembered, eleven minutes later: %v, want TooOld", err)
	}
}

func TestRequiredClaims(t *testing.T) {
	w := ruled(t, func(i *token.Issuer) { i.Require = []string{"tid", "a.b", "/list/0", "https://x.example/c"} })
	good := map[string]any{"tid": "t", "a": map[string]any{"b": false}, "list": []any{0}, "https://x.example/c": map[string]any{"k": nil}}
	if _, err := w.verify(t, w.sign(nil, good)); err != nil {
		t.Fatal(err)
	}
	for name, changes := range map[string]map[string]any{
		"absent":           {"tid": nil},
		"empty text":       {"tid": ""},
		"empty list":       {"tid": []any{}},
		"empty object":     {"https://x.example/c": map[string]any{}},
		"nested absent":    {"a": map[string]any{}},
		"nested null":      {"a": map[string]any{"b": nil}},
		"nested empty":     {"a": map[string]any{"b": ""}},
		"nested in a text": {"a": "b"},
		"short list":       {"list": []any{}},
		"empty element":    {"list": []any{[]any{}}},
	} {
		claims := maps.Clone(good)
		maps.Copy(claims, changes)
		if _, err := w.verify(t, w.sign(nil, claims)); !errors.Is(err, token.BadClaim) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, empty := range []string{`null`, `""`, `[ ]`, "{\t\n }"} {
		payload := `{"iss":"` + issuerURL + `","aud":"` + audience + `","exp":9999999999,"a":{"b":1},"list":[1],"https://x.example/c":1,"tid":` + empty + `}`
		if _, err := w.verify(t, token.NewRaw(w.signer.SignRaw([]byte(`{"alg":"ES256"}`), []byte(payload)))); !errors.Is(err, token.BadClaim) {
			t.Errorf("%q: %v", empty, err)
		}
	}
	whole := map[string]any{"tid": "t", "a.b": "", "a": map[string]any{"b": 1}, "list": []any{0}, "https://x.example/c": " "}
	if _, err := w.verify(t, w.sign(nil, whole)); !errors.Is(err, token.BadClaim) {
		t.Errorf("a claim by its whole name hides one by a path: %v", err)
	}
}

// Who acted once is nobody who acts: an act with former actors alone is empty.
func TestRequiredActor(t *testing.T) {
	for _, path := range []string{"act", "/act"} {
		w := ruled(t, func(i *token.Issuer) { i.Require = []string{path} })
		if _, err := w.verify(t, w.sign(nil, map[string]any{"act": map[string]any{"sub": "a"}})); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		former := map[string]any{"act": map[string]any{"act": map[string]any{"sub": "a"}}}
		if _, err := w.verify(t, w.sign(nil, former)); !errors.Is(err, token.BadClaim) {
			t.Errorf("%s: %v for former actors alone", path, err)
		}
	}
}

func TestRememberedTokenSkipsNoNewRule(t *testing.T) {
	w := newWorld(t, "ES256")
	raw := w.sign(map[string]any{"typ": "JWT"}, nil)
	if _, err := w.verify(t, raw); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*token.Issuer)
		want   token.Reason
	}{
		"types":   {func(i *token.Issuer) { i.Types = []string{"at+jwt"} }, token.WrongType},
		"age":     {func(i *token.Issuer) { i.MaxAge, i.Leeway = 1, 0 }, token.TooOld},
		"require": {func(i *token.Issuer) { i.Require = []string{"tid"} }, token.BadClaim},
	} {
		if _, _, err := w.with(test.change).Verify(t.Context(), raw); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestClaimPaths(t *testing.T) {
	w := ruled(t, func(i *token.Issuer) {
		i.Claims = token.ClaimPaths{
			Subject: "oid", Scope: []string{"scp", "permissions"}, Client: []string{"cid", "appid"},
			Roles: []string{"realm_access.roles", "/resource_access/my.app/roles", "https://app.example.com/roles"},
		}
	})
	type reading struct {
		Subject, Client string
		Scopes, Roles   []string
	}
	tests := map[string]struct {
		claims map[string]any
		want   reading
	}{
		"none of them": {map[string]any{}, reading{}},
		"the first": {
			map[string]any{
				"oid": "o", "scp": "a b", "permissions": []any{"c"}, "cid": "c", "appid": "d",
				"realm_access": map[string]any{"roles": []any{"r"}}, "https://app.example.com/roles": []any{"s"},
			},
			reading{"o", "c", []string{"a", "b"}, []string{"r"}},
		},
		"the next": {
			map[string]any{
				"permissions": []any{"c d"}, "appid": "d",
				"resource_access": map[string]any{"my.app": map[string]any{"roles": []any{"s", "t"}}},
			},
			reading{"", "d", []string{"c d"}, []string{"s", "t"}},
		},
		"the last": {map[string]any{"https://app.example.com/roles": "one role"}, reading{Roles: []string{"one role"}}},
		"an empty list comes first": {
			map[string]any{"scp": "", "permissions": []any{"c"}, "realm_access": map[string]any{"roles": []any{}}, "https://app.example.com/roles": "s"},
			reading{Scopes: []string{}, Roles: []string{}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			verified, err := w.verify(t, w.sign(nil, test.claims))
			if err != nil {
				t.Fatal(err)
			}
			got := reading{verified.Subject, verified.Client, verified.Scopes, verified.Roles}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, value := range map[string]any{
		"oid": 1, "scp": 1, "permissions": map[string]any{"a": 1}, "cid": []any{"c"}, "appid": true,
		"realm_access": map[string]any{"roles": []any{1}}, "https://app.example.com/roles": map[string]any{"admin": true},
		"resource_access": map[string]any{"my.app": map[string]any{"roles": 7}}, "sub": 1,
	} {
		if _, err := w.verify(t, w.sign(nil, map[string]any{name: value})); !errors.Is(err, token.BadClaim) {
			t.Errorf("%s of a wrong type: %v", name, err)
		}
	}
	if _, err := w.verify(t, token.NewRaw(w.signer.SignRaw([]byte(`{"alg":"ES256"}`),
		[]byte(`{"iss":"`+issuerURL+`","aud":"`+audience+`","exp":9999999999,"scp":null,"permissions":["c"]}`)))); !errors.Is(err, token.BadClaim) {
		t.Errorf("null comes first: %v", err)
	}
}

// A reload may say that claims lie elsewhere. What the old configuration read and
// remembered is then another reading of the same token, and the other way round.
func TestRememberedTokenIsReadAsThisConfigurationSays(t *testing.T) {
	w := newWorld(t, "ES256")
	other := w.with(func(i *token.Issuer) {
		i.Claims = token.ClaimPaths{Subject: "oid", Scope: []string{"perms"}, Roles: []string{"roles"}}
	})
	raw := w.sign(nil, map[string]any{"oid": "other", "perms": "admin", "roles": []any{"boss"}})
	for range 3 {
		old, err := w.verify(t, raw)
		if err != nil || old.Subject != "alice" || old.HasScope("admin") || old.Roles != nil {
			t.Fatalf("by the old paths: %+v, %v", old, err)
		}
		read, _, err := other.Verify(t.Context(), raw)
		if err != nil || read.Subject != "other" || !read.HasScope("admin") || len(read.Roles) != 1 {
			t.Fatalf("by the new paths: %+v, %v", read, err)
		}
	}
	if w.cache.Len() != 1 {
		t.Errorf("%d entries for one token", w.cache.Len())
	}
	// Lists that only look alike when they are written without care.
	a := w.with(func(i *token.Issuer) { i.Claims = token.ClaimPaths{Scope: []string{"x y"}, Roles: []string{}} })
	b := w.with(func(i *token.Issuer) { i.Claims = token.ClaimPaths{Scope: []string{"x", "y"}} })
	raw = w.sign(nil, map[string]any{"x y": "one", "y": "two"})
	for want, verifier := range map[string]*token.Verifier{"one": a, "two": b} {
		if read, _, err := verifier.Verify(t.Context(), raw); err != nil || !read.HasScope(want) {
			t.Errorf("%s: %+v, %v", want, read, err)
		}
	}
}

// There are servers whose access tokens have no aud: any takes them, a list does
// not.
func TestAudienceAny(t *testing.T) {
	w := ruled(t, func(i *token.Issuer) { i.Audience = token.Audience{Any: true} })
	for _, aud := range []any{nil, "x", []any{}, []any{"x", "y"}} {
		if _, err := w.verify(t, w.sign(nil, map[string]any{"aud": aud})); err != nil {
			t.Errorf("aud %v: %v", aud, err)
		}
	}
	for _, aud := range []any{1, []any{1}, map[string]any{}} {
		if _, err := w.verify(t, w.sign(nil, map[string]any{"aud": aud})); !errors.Is(err, token.BadClaim) {
			t.Errorf("aud %v: %v", aud, err)
		}
	}
	named := token.NewVerifier(token.VerifierConfig{
		Issuers: []*token.Issuer{w.issuer}, Cache: w.cache, Audience: token.Audience{Values: []string{audience}},
	})
	raw := w.sign(nil, map[string]any{"aud": nil})
	if _, err := w.verify(t, raw); err != nil {
		t.Fatal(err)
	}
	if _, _, err := named.Verify(t.Context(), raw); !errors.Is(err, token.WrongAudience) {
		t.Errorf("remembered, on a route with an audience: %v", err)
	}
}

func TestTokenUse(t *testing.T) {
	w := newWorld(t, "ES256")
	for use, want := range map[string]error{"access": nil, "id": token.WrongType, "ID": token.WrongType, "refresh": token.WrongType} {
		if _, err := w.verify(t, w.sign(map[string]any{"typ": nil}, map[string]any{"token_use": use})); !errors.Is(err, want) {
			t.Errorf("token_use %s: %v, want %v", use, err, want)
		}
	}
}

// FuzzLookup holds paths to what they promise on claims that anybody wrote: the
// whole name first, no panic, and a way that really leads there.
func FuzzLookup(f *testing.F) {
	f.Add(`{"a":{"b":["x",{"c":1}]},"a.b":true}`, "a.b")
	f.Add(`{"realm_access":{"roles":["r"]}}`, "realm_access.roles")
	f.Add(`{"a/b":{"~":[[0]]}}`, "/a~1b/~0/0/0")
	f.Add(`{"":{"":null}}`, "/")
	f.Fuzz(func(t *testing.T, payload, path string) {
		claims, err := token.ParseClaims([]byte(payload))
		if err != nil {
			return
		}
		value, ok := claims.Lookup(path)
		if !ok && (value != nil || len(claims.Texts(path)) > 0) {
			t.Fatalf("nothing is at %q, and yet %v", path, value)
		}
		if !strings.HasPrefix(path, "/") {
			if whole, there := claims.Get(path); there && !cmp.Equal(whole, value) {
				t.Fatalf("%q: the whole name holds %v, found %v", path, whole, value)
			}
			if !strings.Contains(path, ".") && ok != claims.Has(path) {
				t.Fatalf("%q: found %t", path, ok)
			}
		}
	})
}
