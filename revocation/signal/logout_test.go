package signal_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/revocation/signal"
	"github.com/caddy-gatehouse/gatehouse/store"
)

const session = "08a5019c-17e1-4977-8f42-65a12843ea02"

func TestLogoutOfSession(t *testing.T) {
	r := newRig(t, nil)
	receipt, got := r.logout(r.logoutToken(nil))
	if got != signal.OutcomeRevoked || receipt.Issuer != idp || receipt.ID != "bWJq" || len(receipt.Revoked) != 1 {
		t.Fatalf("%s: %+v", got, receipt)
	}
	if !r.revokes(revocation.Facts{Issuer: idp, Subject: "248289761001", Session: session, IssuedAt: time.Now().Add(time.Hour)}) {
		t.Error("the session goes on")
	}
	if r.revokes(revocation.Facts{Issuer: idp, Subject: "248289761001", Session: "another"}) {
		t.Error("another session of the subject ended")
	}
	if r.revokes(revocation.Facts{Issuer: other, Session: session}) {
		t.Error("another issuer's session ended")
	}
}

func TestLogoutOfSubject(t *testing.T) {
	r := newRig(t, nil)
	if _, got := r.logout(r.logoutToken(map[string]any{"sid": nil})); got != signal.OutcomeRevoked {
		t.Fatal(got)
	}
	before := revocation.Facts{Issuer: idp, Subject: "248289761001", IssuedAt: time.Now().Add(-time.Minute)}
	after := before
	after.IssuedAt = time.Now().Add(time.Minute)
	if !r.revokes(before) || r.revokes(after) {
		t.Errorf("before %v, after %v", r.revokes(before), r.revokes(after))
	}
}

func TestLogoutTokensThatPass(t *testing.T) {
	for name, text := range map[string]func(r *rig) string{
		"no type":  func(r *rig) string { return r.key.Sign(map[string]any{"typ": nil}, logoutClaims(nil)) },
		"type JWT": func(r *rig) string { return r.key.Sign(map[string]any{"typ": "JWT"}, logoutClaims(nil)) },
		"media type": func(r *rig) string {
			return r.key.Sign(map[string]any{"typ": "application/LOGOUT+jwt"}, logoutClaims(nil))
		},
		"no exp":        func(r *rig) string { return r.logoutToken(map[string]any{"exp": nil}) },
		"audience list": func(r *rig) string { return r.logoutToken(map[string]any{"aud": []string{"x", clientID}}) },
		"claim typ":     func(r *rig) string { return r.logoutToken(map[string]any{"typ": "Logout"}) },
		"session alone": func(r *rig) string { return r.logoutToken(map[string]any{"sub": nil}) },
		"clock is ahead": func(r *rig) string {
			return r.logoutToken(map[string]any{"iat": time.Now().Add(20 * time.Second).Unix()})
		},
		"four minutes old": func(r *rig) string {
			return r.logoutToken(map[string]any{"iat": time.Now().Add(-4 * time.Minute).Unix()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			if receipt, got := r.logout(text(r)); got != signal.OutcomeRevoked {
				t.Errorf("%s: %+v", got, receipt)
			}
		})
	}
}

func TestLogoutTokensThatAreRefused(t *testing.T) {
	r := newRig(t, nil)
	changed := func(want signal.Outcome, changes map[string]any) func() (string, signal.Outcome) {
		return func() (string, signal.Outcome) { return r.logoutToken(changes), want }
	}
	events := func(members map[string]any) map[string]any { return map[string]any{"events": members} }
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for name, test := range map[string]func() (string, signal.Outcome){
		"nonce":              changed(signal.OutcomeType, map[string]any{"nonce": "n"}),
		"no events":          changed(signal.OutcomeType, map[string]any{"events": nil}),
		"another event":      changed(signal.OutcomeType, events(map[string]any{"https://example.com/e": map[string]any{}})),
		"two events":         changed(signal.OutcomeType, events(map[string]any{signal.EventLogout: map[string]any{}, "x": map[string]any{}})),
		"event is no object": changed(signal.OutcomeType, events(map[string]any{signal.EventLogout: true})),
		"events is a list":   changed(signal.OutcomeType, map[string]any{"events": []string{signal.EventLogout}}),
		"nobody":             changed(signal.OutcomeMalformed, map[string]any{"sub": nil, "sid": nil}),
		"sub is a number":    changed(signal.OutcomeMalformed, map[string]any{"sub": 7}),
		"sid is a list":      changed(signal.OutcomeMalformed, map[string]any{"sid": []string{"a"}}),
		"no jti":             changed(signal.OutcomeMalformed, map[string]any{"jti": nil}),
		"jti is too long":    changed(signal.OutcomeMalformed, map[string]any{"jti": strings.Repeat("j", 257)}),
		"no iat":             changed(signal.OutcomeMalformed, map[string]any{"iat": nil}),
		"iat is a text":      changed(signal.OutcomeMalformed, map[string]any{"iat": "now"}),
		"iat beyond all":     changed(signal.OutcomeMalformed, map[string]any{"iat": 1e300}),
		"exp is a text":      changed(signal.OutcomeMalformed, map[string]any{"exp": "soon"}),
		"stale":              changed(signal.OutcomeTime, map[string]any{"iat": ago(6 * time.Minute), "exp": nil}),
		"future":             changed(signal.OutcomeTime, map[string]any{"iat": ago(-time.Minute)}),
		"expired":            changed(signal.OutcomeTime, map[string]any{"exp": ago(31 * time.Second)}),
		"another audience":   changed(signal.OutcomeAudience, map[string]any{"aud": clientID + "x"}),
		"no audience":        changed(signal.OutcomeAudience, map[string]any{"aud": nil}),
		"audience of kinds":  changed(signal.OutcomeAudience, map[string]any{"aud": []any{clientID, 7}}),
		"unknown issuer":     changed(signal.OutcomeIssuer, map[string]any{"iss": "https://stranger.example.com"}),
		"issuer with slash":  changed(signal.OutcomeIssuer, map[string]any{"iss": strings.TrimSuffix(idp, "/")}),
		"another's key":      changed(signal.OutcomeSignature, map[string]any{"iss": other}),
		"access token": func() (string, signal.Outcome) {
			return r.key.Sign(nil, logoutClaims(nil)), signal.OutcomeType
		},
		"SET": func() (string, signal.Outcome) { return r.set(logoutClaims(nil)), signal.OutcomeType },
		"unknown key": func() (string, signal.Outcome) {
			return r.key.Sign(map[string]any{"typ": "logout+jwt", "kid": "k9"}, logoutClaims(nil)), signal.OutcomeKey
		},
		"none": func() (string, signal.Outcome) {
			header := tokentest.JSON(map[string]any{"alg": "none", "typ": "logout+jwt", "kid": "k1"})
			return tokentest.Encode(header) + "." + tokentest.Encode(tokentest.JSON(logoutClaims(nil))) + ".AA", signal.OutcomeKey
		},
		"HMAC with the public key": func() (string, signal.Outcome) {
			header := map[string]any{"alg": "HS256", "typ": "logout+jwt", "kid": "k1"}
			return tokentest.HS256(tokentest.JSON(r.key.JWK()), header, logoutClaims(nil)), signal.OutcomeKey
		},
		"deep": func() (string, signal.Outcome) {
			payload := strings.Repeat(`{"a":`, 2000) + "1" + strings.Repeat("}", 2000)
			header := tokentest.JSON(map[string]any{"alg": "ES256", "typ": "logout+jwt", "kid": "k1"})
			return r.key.SignRaw(header, []byte(payload)), signal.OutcomeMalformed
		},
		"huge": changed(signal.OutcomeMalformed, map[string]any{"x": strings.Repeat("x", 16<<10)}),
		"dots": func() (string, signal.Outcome) { return strings.Repeat(".", 16<<10), signal.OutcomeMalformed },
	} {
		t.Run(name, func(t *testing.T) {
			text, want := test()
			if receipt, got := r.logout(text); got != want || len(receipt.Revoked) > 0 {
				t.Errorf("%s, want %s: %+v", got, want, receipt)
			}
		})
	}
	if n, marks := r.state.List().Len(), r.store.Len("logout_token"); n != 0 || marks != 0 {
		t.Errorf("%d revocations and %d marks came of it", n, marks)
	}
}

func TestLogoutTokenIsGoodOnce(t *testing.T) {
	r := newRig(t, nil)
	text := r.logoutToken(nil)
	if _, got := r.logout(text); got != signal.OutcomeRevoked {
		t.Fatal(got)
	}
	if receipt, got := r.logout(text); got != signal.OutcomeReplayed || len(receipt.Revoked) > 0 {
		t.Errorf("%s: %+v", got, receipt)
	}
	if n := r.state.List().Len(); n != 1 {
		t.Errorf("%d revocations", n)
	}
	// The same jti of another issuer is another token.
	theirs := r.theirs.Sign(map[string]any{"typ": "logout+jwt"}, logoutClaims(map[string]any{"iss": other}))
	if _, got := r.logout(theirs); got != signal.OutcomeRevoked {
		t.Error(got)
	}
}

// flaky is a store that does not answer as often as it is told.
type flaky struct {
	*store.Memory

	appends, marks int
}

func (f *flaky) Append(ctx context.Context, log store.Purpose, id string, data []byte, until time.Time) error {
	if f.appends > 0 {
		f.appends--
		return store.ErrUnavailable
	}
	return f.Memory.Append(ctx, log, id, data, until)
}

func (f *flaky) AppendLeaving(ctx context.Context, log store.Purpose, id string, data []byte, until time.Time) error {
	return f.Append(ctx, log, id, data, until)
}

func (f *flaky) Mark(ctx context.Context, purpose store.Purpose, id string, until time.Time) (bool, error) {
	if f.marks > 0 {
		f.marks--
		return false, store.ErrFull
	}
	return f.Memory.Mark(ctx, purpose, id, until)
}

// What failed half-way is sent again, and must not be found used up.
func TestSignalsSurviveTheStore(t *testing.T) {
	away := &flaky{Memory: store.NewMemory(0)}
	r := newRig(t, func(r *rig) {
		r.state = revocation.NewState(away)
		r.settings.Revoker, r.settings.Marks = r.state, away
	})
	logout, set := r.logoutToken(nil), r.set(caepClaims(nil))
	for name, take := range map[string]func() (signal.Receipt, signal.Outcome){
		"logout": func() (signal.Receipt, signal.Outcome) { return r.logout(logout) },
		"SET":    func() (signal.Receipt, signal.Outcome) { return r.push(set) },
	} {
		away.appends, away.marks = 3, 1 // an event is given to the store three times
		for _, want := range []signal.Outcome{signal.OutcomeUnavailable, signal.OutcomeUnavailable, signal.OutcomeRevoked} {
			if _, got := take(); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
	if refused := signal.Refuse(signal.OutcomeUnavailable, nil); refused.Status() != http.StatusServiceUnavailable || refused.RetryAfter() <= 0 {
		t.Errorf("status %d", refused.Status())
	}
}

// failing is where keys do not come from.
type failing struct{}

func (failing) KeySet(context.Context) (jose.KeySet, time.Duration, error) {
	return jose.KeySet{}, 0, errors.New("down")
}

func TestSignalsWithoutKeys(t *testing.T) {
	r := newRig(t, func(r *rig) {
		for _, sources := range [][]*signal.Source{r.settings.Providers, r.settings.Transmitters} {
			sources[0].Keys = keys.NewSource(keys.Config{Issuer: idp, State: keys.NewState(), Fetcher: failing{}})
		}
	})
	if _, got := r.logout(r.logoutToken(nil)); got != signal.OutcomeNoKeys {
		t.Error(got)
	}
	if _, got := r.push(r.set(caepClaims(nil))); got != signal.OutcomeNoKeys {
		t.Error(got)
	}
}

func TestLogoutRequests(t *testing.T) {
	r := newRig(t, nil)
	form := url.Values{"logout_token": {r.logoutToken(nil)}, "other": {"ignored"}}.Encode()
	const media = "application/x-www-form-urlencoded"
	for i, test := range []struct {
		method, media, body string
		want                signal.Outcome
	}{
		{http.MethodGet, media, form, signal.OutcomeMethod},
		{http.MethodPost, "application/json", form, signal.OutcomeMalformed},
		{http.MethodPost, "", form, signal.OutcomeMalformed},
		{http.MethodPost, media, "", signal.OutcomeMalformed},
		{http.MethodPost, media, form + "&" + form, signal.OutcomeMalformed},
		{http.MethodPost, media, "logout_token=%zz", signal.OutcomeMalformed},
		{http.MethodPost, media, form + "&x=" + strings.Repeat("x", 32<<10), signal.OutcomeMalformed},
		{http.MethodPost, media + "; charset=utf-8", form, signal.OutcomeRevoked},
	} {
		request := httptest.NewRequest(test.method, "/backchannel-logout?site=1", strings.NewReader(test.body))
		request.Header.Set("Content-Type", test.media)
		if got := outcome(r.receiver.ReceiveLogout(request)); got != test.want {
			t.Errorf("%d: %s, want %s", i, got, test.want)
		}
	}
	encoded := httptest.NewRequest(http.MethodPost, "/backchannel-logout", strings.NewReader(form))
	encoded.Header = http.Header{"Content-Type": {media}, "Content-Encoding": {"gzip"}}
	if got := outcome(r.receiver.ReceiveLogout(encoded)); got != signal.OutcomeMalformed {
		t.Errorf("encoded: %s", got)
	}
}

// FuzzLogoutToken holds that what is revoked was said by the issuer: of one session,
// or of its subject.
func FuzzLogoutToken(f *testing.F) {
	r := newRig(f, nil)
	header := tokentest.JSON(map[string]any{"alg": "ES256", "typ": "logout+jwt", "kid": "k1"})
	f.Add(string(header), string(tokentest.JSON(logoutClaims(nil))), true)
	f.Add(string(header), string(tokentest.JSON(logoutClaims(map[string]any{"sid": nil}))), true)
	f.Add(string(header), string(tokentest.JSON(logoutClaims(map[string]any{"nonce": "n"}))), true)
	f.Add(`{"alg":"none"}`, `{"iss":1,"events":{}}`, false)
	f.Fuzz(func(t *testing.T, header, payload string, signed bool) {
		text := header + "." + payload
		if signed {
			text = r.key.SignRaw([]byte(header), []byte(payload))
		}
		receipt, refused := r.receiver.Logout(t.Context(), text)
		if refused != nil {
			if refused.Status() < 400 || refused.Description() == "" {
				t.Errorf("refused with %d %q", refused.Status(), refused.Description())
			}
			return
		}
		if !signed || receipt.Issuer != idp || receipt.ID == "" || len(receipt.Revoked) != 1 || receipt.Revoked[0].Issuer != idp {
			t.Errorf("taken: %+v", receipt)
		}
	})
}

// A revocation is kept for as long as a token of before it can be good; that of a
// session, of which more may come, for longer.
func TestSignalsAreKeptAsLongAsTokensLive(t *testing.T) {
	r := newRig(t, nil)
	r.settings.Providers[0].MaxAge = time.Hour
	kept := func(receipt signal.Receipt) time.Duration {
		if len(receipt.Revoked) != 1 {
			t.Fatalf("%+v", receipt)
		}
		return time.Until(receipt.Revoked[0].Until).Round(10 * time.Second)
	}
	session, _ := r.logout(r.logoutToken(map[string]any{"jti": "1"}))
	subject, _ := r.logout(r.logoutToken(map[string]any{"jti": "2", "sid": nil}))
	if got, all := kept(session), kept(subject); got != signal.Life || all != time.Hour+30*time.Second {
		t.Errorf("a session is kept for %v, a subject for %v", got, all)
	}
	r.settings.Providers[0].MaxAge = 0
	if unbounded, _ := r.logout(r.logoutToken(map[string]any{"jti": "3", "sid": nil})); kept(unbounded) != signal.Life {
		t.Errorf("where nothing bounds the age: %v", kept(unbounded))
	}
}
