package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const (
	mainURL  = "https://idp.example.com"
	otherURL = "https://login.example.net"
)

var (
	noon    = time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)
	trusted = Issuers{
		{Name: "main", URL: mainURL, MaxAge: time.Hour, Leeway: 30 * time.Second},
		{Name: "other", URL: otherURL, Leeway: time.Minute, Opaque: true},
		{Name: "tenants", URL: "https://a.example.com"},
		{Name: "tenants", URL: "https://b.example.com", Encrypted: true},
	}
)

// longest is how long a token of main's is good at most that was accepted at noon, or
// what was made of it at the last moment: its iat may be a leeway ahead.
const longest = time.Hour + 2*30*time.Second + 10*time.Minute + 2*time.Minute

// eventsOf reads a body as the admin API does.
func eventsOf(body string, issuers Issuers) ([]revocation.Event, error) {
	return readEvents(httptest.NewRequest(http.MethodPost, routeRevocations, strings.NewReader(body)), issuers, noon)
}

func TestOrdersBecomeEvents(t *testing.T) {
	later := noon.Add(defaultLife)
	for _, tt := range []struct {
		order string
		want  revocation.Event
	}{
		{
			`{"kind": "subject", "issuer": "main", "value": "alice"}`,
			revocation.Event{Kind: "subject", Issuer: mainURL, Value: "alice", Before: noon, Until: noon.Add(time.Hour + 30*time.Second + 12*time.Minute)},
		},
		{
			`{"kind": "subject", "issuer": "` + otherURL + `", "value": "alice", "reason": "left"}`,
			revocation.Event{Kind: "subject", Issuer: otherURL, Value: "alice", Before: noon, Until: later, Reason: "left"},
		},
		{
			`{"kind": "subject", "issuer": "main", "value": "alice", "all": true}`,
			revocation.Event{Kind: "subject", Issuer: mainURL, Value: "alice", Until: later},
		},
		{
			`{"kind": "client", "issuer": "main", "value": "app", "before": "2027-01-31T11:30:00Z"}`,
			revocation.Event{Kind: "client", Issuer: mainURL, Value: "app", Before: noon.Add(-time.Hour / 2), Until: noon.Add(30*time.Minute + 30*time.Second + 12*time.Minute)},
		},
		{
			`{"kind": "issuer", "issuer": "other", "for": "90d"}`,
			revocation.Event{Kind: "issuer", Issuer: otherURL, Before: noon, Until: noon.Add(90 * 24 * time.Hour)},
		},
		{
			`{"kind": "session", "issuer": "main", "value": "s1"}`,
			revocation.Event{Kind: "session", Issuer: mainURL, Value: "s1", Until: later},
		},
		{
			`{"kind": "session", "issuer": "main", "value": "s1", "before": "now"}`,
			revocation.Event{Kind: "session", Issuer: mainURL, Value: "s1", Before: noon, Until: noon.Add(time.Hour + 30*time.Second + 12*time.Minute)},
		},
		{
			`{"kind": "key", "issuer": "main", "value": "k1"}`,
			revocation.Event{Kind: "key", Issuer: mainURL, Value: "k1", Until: later},
		},
		{
			`{"kind": "jti", "issuer": "main", "value": "j1"}`,
			revocation.Event{Kind: "jti", Issuer: mainURL, Value: "j1", Until: noon.Add(longest)},
		},
		{
			`{"kind": "jti", "issuer": "other", "value": "j1", "until": "2027-02-01T00:00:00Z"}`,
			revocation.Event{Kind: "jti", Issuer: otherURL, Value: "j1", Until: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)},
		},
	} {
		got, err := eventsOf(tt.order, trusted)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d events, %v", tt.order, len(got), err)
			continue
		}
		tt.want.At, tt.want.By = noon, "admin"
		if diff := cmp.Diff(tt.want, got[0]); diff != "" {
			t.Errorf("%s: %s", tt.order, diff)
		}
	}
}

func TestTokensBecomeEvents(t *testing.T) {
	key := tokentest.NewKey(t, "ES256", "k1")
	jwt := func(claims map[string]any) string { return key.Sign(nil, claims) }
	ends := noon.Add(time.Minute).Unix()
	nameless := jwt(map[string]any{"iss": mainURL, "exp": ends})
	endless := jwt(map[string]any{"iss": otherURL, "jti": "j1"})
	long := jwt(map[string]any{"iss": mainURL, "exp": ends, "jti": strings.Repeat("j", 2000)})
	encrypted := "eyJhbGciOiJSU0EtT0FFUC0yNTYifQ.AAAA.AAAA.AAAA.AAAA"
	digest := func(text string) string { return revocation.DigestValue(token.NewRaw(text).Essence()) }
	// Nobody has verified exp: it makes a revocation longer, and never shorter.
	until, later := noon.Add(longest), noon.Add(2*time.Hour).Unix()
	for _, tt := range []struct {
		token, issuer string
		want          revocation.Event
	}{
		{jwt(map[string]any{"iss": mainURL, "jti": "j1", "exp": ends}), "", revocation.Event{Kind: "jti", Issuer: mainURL, Value: "j1", Until: until}},
		{jwt(map[string]any{"iss": mainURL, "jti": "j1", "exp": ends}), "main", revocation.Event{Kind: "jti", Issuer: mainURL, Value: "j1", Until: until}},
		{jwt(map[string]any{"iss": mainURL, "jti": "j1", "exp": 1}), "", revocation.Event{Kind: "jti", Issuer: mainURL, Value: "j1", Until: until}},
		{
			jwt(map[string]any{"iss": mainURL, "jti": "j1", "exp": later}), "",
			revocation.Event{Kind: "jti", Issuer: mainURL, Value: "j1", Until: noon.Add(2*time.Hour + time.Second + 2*time.Minute)},
		},
		{nameless, "", revocation.Event{Kind: "token", Issuer: mainURL, Value: digest(nameless), Until: until}},
		{long, "", revocation.Event{Kind: "jti", Issuer: mainURL, Value: revocation.ValueOf(strings.Repeat("j", 2000)), Until: until}},
		{endless, "", revocation.Event{Kind: "jti", Issuer: otherURL, Value: "j1", Until: noon.Add(defaultLife)}},
		{"opaque-1", "", revocation.Event{Kind: "token", Issuer: otherURL, Value: digest("opaque-1"), Until: noon.Add(defaultLife)}},
		{"opaque-1", "main", revocation.Event{Kind: "token", Issuer: mainURL, Value: digest("opaque-1"), Until: noon.Add(longest)}},
		{encrypted, "", revocation.Event{Kind: "token", Issuer: "https://b.example.com", Value: digest(encrypted), Until: noon.Add(defaultLife)}},
	} {
		order, err := json.Marshal(map[string]string{"token": tt.token, "issuer": tt.issuer})
		if err != nil {
			t.Fatal(err)
		}
		got, err := eventsOf(strings.Replace(string(order), `"issuer":"",`, "", 1), trusted)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: %d events, %v", order, len(got), err)
			continue
		}
		tt.want.At, tt.want.By = noon, "admin"
		if diff := cmp.Diff(tt.want, got[0]); diff != "" {
			t.Error(diff)
		}
	}
}

// Anybody can encrypt a token once more, so what is revoked is the token inside, where
// the gateway can open it.
func TestEncryptedTokensBecomeEvents(t *testing.T) {
	key, envelope := tokentest.NewKey(t, "ES256", "k1"), tokentest.NewKey(t, "RS256", "")
	opens, err := jose.ParseDecryptionKey(envelope.PEM(t))
	if err != nil {
		t.Fatal(err)
	}
	decrypter, err := jose.NewDecrypter(opens)
	if err != nil {
		t.Fatal(err)
	}
	issuers := Issuers{
		{Name: "other", URL: otherURL, Encrypted: true},
		{Name: "main", URL: mainURL, Encrypted: true, Decrypter: decrypter},
	}
	named := key.Sign(nil, map[string]any{"iss": mainURL, "jti": "j1", "exp": noon.Add(time.Minute).Unix()})
	nameless := key.Sign(nil, map[string]any{"iss": mainURL, "exp": noon.Add(time.Minute).Unix()})
	for inner, want := range map[string]revocation.Event{
		named:    {Kind: "jti", Value: "j1"},
		nameless: {Kind: "token", Value: revocation.DigestValue(token.NewRaw(nameless).Essence())},
	} {
		got, err := eventsOf(`{"token": "`+tokentest.Encrypt(t, envelope.Private.Public(), nil, inner)+`"}`, issuers)
		if err != nil || len(got) != 1 || got[0].Kind != want.Kind || got[0].Value != want.Value || got[0].Issuer != mainURL {
			t.Errorf("%s: %v, %v", want.Kind, got, err)
		}
	}
	// Nobody here can open it: the envelope itself is revoked.
	closed := tokentest.Encrypt(t, tokentest.NewKey(t, "RS256", "").Private.Public(), nil, named)
	got, err := eventsOf(`{"token": "`+closed+`", "issuer": "other"}`, issuers)
	if err != nil || got[0].Kind != revocation.KindToken || got[0].Value != revocation.DigestValue(token.NewRaw(closed).Essence()) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestOpaqueTokensByPrefix finds the issuer as the door does.
func TestOpaqueTokensByPrefix(t *testing.T) {
	asked := Issuers{
		{Name: "a", URL: mainURL, Opaque: true, Prefixes: []string{"a_"}},
		{Name: "b", URL: otherURL, Opaque: true, Prefixes: []string{"b_"}},
	}
	got, err := eventsOf(`{"token": "b_1"}`, asked)
	if err != nil || got[0].Issuer != otherURL {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := eventsOf(`{"token": "c_1"}`, asked); !errors.Is(err, errBadOrder) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestOrdersAreRefused(t *testing.T) {
	key := tokentest.NewKey(t, "ES256", "k1")
	jwt := func(claims map[string]any) string { return `{"token": "` + key.Sign(nil, claims) + `"}` }
	for body, want := range map[string]string{
		``:     "there is no order",
		`[]`:   "there is no order",
		`x`:    "not JSON",
		`[{`:   "not JSON",
		`"x"`:  "not a JSON object",
		`null`: "not a JSON object",
		`[{"kind": "jti", "issuer": "main", "value": "a"}`:                                                 "the list does not end",
		`[{"kind": "jti", "issuer": "main", "value": "a"}] x`:                                              "something stands behind it",
		`{"kind": "jti", "issuer": "main", "value": "a", "value": "b"}`:                                    "a member twice",
		`{"kind": "jti", "issuer": "main", "value": "a", "isuer": "b"}`:                                    "an unknown member",
		`{"Kind": "jti", "issuer": "main", "value": "a"}`:                                                  "an unknown member",
		`{"kind": 1, "issuer": "main", "value": "a"}`:                                                      "kind: not a text",
		`{"kind": "jti", "issuer": "main", "value": null}`:                                                 "value: not a text",
		`{"kind": "jti", "issuer": "main", "value": ""}`:                                                   "value: empty",
		`{"kind": "jti", "issuer": "main", "value": "` + strings.Repeat("a", maxValue+1) + `"}`:            "value: longer than 65536",
		`{"kind": "jti", "issuer": "main", "value": "a", "reason": "` + strings.Repeat("a", 257) + `"}`:    "reason: longer than 256",
		`{"kind": "jti", "issuer": "main", "value": "a", "reason": "a\u0007"}`:                             "reason: it holds a control character",
		`{"kind": "jti", "issuer": "a\u0007", "value": "a"}`:                                               "issuer: it holds a control character",
		`{"issuer": "main", "value": "a"}`:                                                                 "kind: it is missing",
		`{"kind": "user", "issuer": "main", "value": "a"}`:                                                 "kind: there is no such kind",
		`{"kind": "jti", "value": "a"}`:                                                                    "issuer: it is missing",
		`{"kind": "jti", "issuer": "main"}`:                                                                "value: it is missing",
		`{"kind": "jti", "issuer": "mian", "value": "a"}`:                                                  "trusts none of that name or URL: it has main (https://idp.example.com), other",
		`{"kind": "jti", "issuer": "https://idp.example.com/", "value": "a"}`:                              "trusts none",
		`{"kind": "jti", "issuer": "tenants", "value": "a"}`:                                               "several URLs",
		`{"kind": "issuer", "issuer": "main", "value": "a"}`:                                               "kind issuer has none",
		`{"kind": "jti", "issuer": "main", "value": "a", "before": "now"}`:                                 "leave before and all out",
		`{"kind": "jti", "issuer": "main", "value": "a", "all": true}`:                                     "leave before and all out",
		`{"kind": "subject", "issuer": "main", "value": "a", "all": "yes"}`:                                "all: neither true nor false",
		`{"kind": "subject", "issuer": "main", "value": "a", "all": true, "before": "now"}`:                "all: there is before as well",
		`{"kind": "subject", "issuer": "main", "value": "a", "before": "yesterday"}`:                       "before: neither now nor a time",
		`{"kind": "subject", "issuer": "main", "value": "a", "before": "2027-01-31T12:03:00Z"}`:            "before: it lies in the future",
		`{"kind": "subject", "issuer": "main", "value": "a", "before": "2027-01-31T10:00:00Z"}`:            "older than max_token_age",
		`{"kind": "subject", "issuer": "main", "value": "a", "before": "1500-01-01T00:00:00Z"}`:            "before: it lies before 1970",
		`{"kind": "subject", "issuer": "main", "value": "a", "before": "0001-01-01T00:00:00Z"}`:            "before: it lies before 1970",
		`{"kind": "subject", "issuer": "main", "value": "a", "until": "0001-01-01T00:00:00Z"}`:             "until: it lies before 1970",
		`{"kind": "subject", "issuer": "main", "value": "a", "for": "1"}`:                                  "for: not a duration",
		`{"kind": "subject", "issuer": "main", "value": "a", "for": 60}`:                                   "for: not a text",
		`{"kind": "subject", "issuer": "main", "value": "a", "for": "-1h"}`:                                "for: not a duration",
		`{"kind": "subject", "issuer": "main", "value": "a", "for": "4000d"}`:                              "for: not a duration",
		`{"kind": "subject", "issuer": "main", "value": "a", "until": "soon"}`:                             "until: not a time",
		`{"kind": "subject", "issuer": "main", "value": "a", "until": "2027-01-31T11:00:00Z"}`:             "until: it has passed",
		`{"kind": "subject", "issuer": "main", "value": "a", "until": "2047-01-31T11:00:00Z"}`:             "until: it lies more than 400 days",
		`{"kind": "subject", "issuer": "main", "value": "a", "until": "2027-02-01T00:00:00Z", "for":"1h"}`: "until: there is for as well",
		`{"kind": "token", "issuer": "main", "value": "abc"}`:                                              "kind token takes the SHA-256",
		`{"kind": "jti", "issuer": "main", "value": "eyJhbGciOiJub25lIn0.e30.AAAA"}`:                       "it looks like a token",
		`{"token": "a", "kind": "jti"}`:                                                                    "a token says itself what it is",
		`{"token": "a", "before": "now"}`:                                                                  "leave before and all out",
		`{"token": "` + strings.Repeat("a", token.MaxLength+1) + `"}`:                                      "token: longer than",
		`{"token": "ghr_abc"}`: "a reference of token_service",
		`{"token": "eyJhbGciOiJSU0EtT0FFUC0yNTYifQ.A.A.A.A", "issuer": "nobody"}`:            "trusts none",
		jwt(map[string]any{"jti": "a"}):                                                      "a JWT without iss",
		jwt(map[string]any{"iss": "https://evil.example", "jti": "a"}):                       "trusts none",
		strings.Replace(jwt(map[string]any{"iss": mainURL}), "{", `{"issuer": "other", `, 1): "the token is of another issuer",
		`{"kind": "jti", "issuer": "main", "value": "a"}{"kind": "jti"}`:                     "order 2 of 2: ",
		strings.Repeat(`{"kind": "jti", "issuer": "main", "value": "a"}`+"\n", maxOrders+1):  "more than 10000 orders",
		strings.Repeat(" ", maxBody+1):                                                       "longer than 16 MiB",
	} {
		_, err := eventsOf(body, trusted)
		if !errors.Is(err, errBadOrder) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %q", body, err, want)
		}
	}
}

// TestRefusalsQuoteNothing puts a token into every place, and looks for it in what
// is said: it goes to logs.
func TestRefusalsQuoteNothing(t *testing.T) {
	const canary = "canary-0123456789"
	for _, body := range []string{
		`{"kind": "` + canary + `", "issuer": "main", "value": "a"}`,
		`{"kind": "jti", "issuer": "` + canary + `", "value": "a"}`,
		`{"kind": "jti", "issuer": "main", "value": "a", "` + canary + `": 1}`,
		`{"kind": "subject", "issuer": "main", "value": "a", "before": "` + canary + `"}`,
		`{"kind": "subject", "issuer": "main", "value": "a", "for": "` + canary + `"}`,
		`{"kind": "token", "issuer": "main", "value": "` + canary + `"}`,
		`{"token": "ghr_` + canary + `"}`,
		`{"token": "` + canary + `", "issuer": "` + canary + `"}`,
		canary,
	} {
		if _, err := eventsOf(body, trusted); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestBatches(t *testing.T) {
	one := `{"kind": "jti", "issuer": "main", "value": "a"}`
	for body, want := range map[string]int{
		one: 1, "[" + one + "]": 1, one + "\n" + one + "\n": 2, " [" + one + ", " + one + "]\n": 2,
		strings.Repeat(one+"\n", maxOrders): maxOrders,
	} {
		if got, err := eventsOf(body, trusted); err != nil || len(got) != want {
			t.Errorf("%.60s: %d, %v", body, len(got), err)
		}
	}
}

// FuzzOrder holds that no body makes an event that the list refuses.
func FuzzOrder(f *testing.F) {
	f.Add(`{"kind": "subject", "issuer": "main", "value": "alice", "reason": "left"}`)
	f.Add(`[{"token": "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlLmNvbSJ9.AAAA"}]`)
	f.Fuzz(func(t *testing.T, body string) {
		events, err := eventsOf(body, trusted)
		if err != nil && !errors.Is(err, errBadOrder) && !errors.Is(err, revocation.ErrInvalid) {
			t.Fatal(err)
		}
		for i := range events {
			if err := events[i].Check(); err != nil || !events[i].Until.After(noon) {
				t.Errorf("%v: %v", events[i], err)
			}
		}
	})
}
