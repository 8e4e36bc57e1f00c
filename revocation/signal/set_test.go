package signal_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/revocation/signal"
)

const (
	caep = "https://schemas.openid.net/secevent/caep/event-type/"
	risc = "https://schemas.openid.net/secevent/risc/event-type/"
	ssf  = "https://schemas.openid.net/secevent/ssf/event-type/"
)

// caepClaims are those of a good SET, made now, with changes.
func caepClaims(changes map[string]any) map[string]any {
	return with(map[string]any{
		"iss": idp, "jti": "24c63fb56e5a2d77a6b512616ca9fa24", "iat": time.Now().Unix(), "aud": stream, "txn": 8675309,
		"sub_id": issSub("jane.smith"),
		"events": event(caep+"session-revoked", nil),
	}, changes)
}

func event(name string, members map[string]any) map[string]any {
	if members == nil {
		members = map[string]any{}
	}
	return map[string]any{name: members}
}

// examples are those of the specifications, word for word but for issuers and
// audiences, which are one here.
var examples = map[string]struct {
	claims string
	word   string
	want   []string // kind, value and before
}{
	"CAEP 1.0 session-revoked, a session": {
		`{"iss":"$ISS","jti":"24c63fb56e5a2d77a6b512616ca9fa24","iat":1615305159,"aud":"$AUD","txn":8675309,
		"sub_id":{"format":"opaque","id":"dMTlD|1600802906337.16|16008.16"},
		"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{"event_timestamp":1615304991}}}`, "session-revoked",
		[]string{"subject dMTlD|1600802906337.16|16008.16 1615304991", "session dMTlD|1600802906337.16|16008.16 0"},
	},
	"CAEP 1.0 session-revoked, a complex subject": {
		`{"iss":"$ISS","jti":"24c63fb56e5a2d77a6b512616ca9fa24","iat":1615305159,"aud":"$AUD","txn":8675309,
		"sub_id":{"format":"complex","session":{"format":"opaque","id":"dMTlD|1600802906337.16|16008.16"},
			"user":{"format":"iss_sub","iss":"$ISS","sub":"jane.smith@example.com"},"tenant":{"format":"opaque","id":"123456789"}},
		"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{"event_timestamp":1615304991,
			"initiating_entity":"policy","reason_admin":{"en":"Landspeed Policy Violation: C076E82F"}}}}`, "session-revoked",
		[]string{"session dMTlD|1600802906337.16|16008.16 0"},
	},
	"CAEP 1.0 session-revoked, a user of a device": {
		`{"iss":"$ISS","jti":"24c63fb56e5a2d77a6b512616ca9fa24","iat":1615305159,"aud":"$AUD",
		"sub_id":{"format":"complex","user":{"format":"iss_sub","iss":"$ISS","sub":"jane.smith@example.com"},
			"device":{"format":"iss_sub","iss":"$ISS","sub":"e9297990-14d2-42ec-a4a9-4036db86509a"},"tenant":{"format":"opaque","id":"123456789"}},
		"events":{"https://schemas.openid.net/secevent/caep/event-type/session-revoked":{"event_timestamp":1615304991}}}`, "session-revoked",
		[]string{"subject jane.smith@example.com 1615304991"},
	},
	"CAEP 1.0 token-claims-change, a JWT": {
		`{"iss":"$ISS","jti":"756E69717565206964656E746966696572","iat":1615305159,"aud":"$AUD","txn":8675309,
		"sub_id":{"format":"jwt_id","iss":"$ISS","jti":"c0384/16"},
		"events":{"https://schemas.openid.net/secevent/caep/event-type/token-claims-change":{"event_timestamp":1615304991,"claims":{"role":"ro-admin"}}}}`, "token-claims-change",
		[]string{"jti c0384/16 0"},
	},
	"CAEP 1.0 credential-change": {
		`{"iss":"$ISS","jti":"07efd930f0977e4fcc1149a733ce7f78","iat":1615305159,"aud":"$AUD","txn":8675309,
		"sub_id":{"format":"iss_sub","iss":"$ISS","sub":"jane.smith@example.com"},
		"events":{"https://schemas.openid.net/secevent/caep/event-type/credential-change":{"event_timestamp":1615304991,"credential_type":"fido2-roaming",
			"change_type":"create","fido2_aaguid":"accced6a-63f5-490a-9eea-e59bc1896cfc","friendly_name":"Jane's USB authenticator"}}}`, "credential-change",
		[]string{"subject jane.smith@example.com 1615304991"},
	},
	"RISC 1.0 account-disabled": {
		`{"iss":"$ISS","jti":"756E69717565206964656E746966696572","iat":1508184845,"aud":"$AUD",
		"sub_id":{"format":"iss_sub","iss":"$ISS","sub":"7375626A656374"},
		"events":{"https://schemas.openid.net/secevent/risc/event-type/account-disabled":{"reason":"hijacking"}}}`, "account-disabled",
		[]string{"subject 7375626A656374 1508184845"},
	},
	"RISC drafts, the subject in the event": {
		`{"iss":"$ISS","jti":"756E69717565206964656E746966696572","iat":1508184845,"aud":"$AUD",
		"events":{"https://schemas.openid.net/secevent/risc/event-type/sessions-revoked":{"subject":{"subject_type":"iss-sub","iss":"$ISS","sub":"7375626A656374"}}}}`, "sessions-revoked",
		[]string{"subject 7375626A656374 1508184845"},
	},
	"SSF 1.0 verification": {`{"iss":"$ISS","jti":"123456","iat":1493856000,"aud":"$AUD","sub_id":{"format":"opaque","id":"f67e39a0a4d34d56b3aa1bc4cff0069f"},
		"events":{"https://schemas.openid.net/secevent/ssf/event-type/verification":{"state":"VGhpcyBpcyBhbiBleGFtcGxlIHN0YXRlIHZhbHVlLgo="}}}`, "verification", nil},
}

func TestSETsOfTheSpecifications(t *testing.T) {
	for name, example := range examples {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				payload := strings.NewReplacer("$ISS", idp, "$AUD", stream).Replace(example.claims)
				var claims struct {
					IssuedAt int64 `json:"iat"`
				}
				if err := json.Unmarshal([]byte(payload), &claims); err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Until(time.Unix(claims.IssuedAt, 0))) // the bubble's clock begins in 2000
				r := newRig(t, nil)
				header := tokentest.JSON(map[string]any{"alg": "ES256", "typ": "secevent+jwt", "kid": "k1"})
				receipt, got := r.push(r.key.SignRaw(header, []byte(payload)))
				if want := taken(example.want); got != want || !slices.Equal(receipt.Events, []string{example.word}) {
					t.Errorf("%s %v, want %s %s", got, receipt.Events, want, example.word)
				}
				if diff := cmp.Diff(example.want, said(receipt)); diff != "" {
					t.Errorf("revoked (-want +got):\n%s", diff)
				}
				if n := r.state.List().Len(); n != len(example.want) {
					t.Errorf("%d events on the list", n)
				}
				if example.word == "verification" && (!receipt.Verification || receipt.State != "VGhpcyBpcyBhbiBleGFtcGxlIHN0YXRlIHZhbHVlLgo=") {
					t.Errorf("state %q", receipt.State)
				}
			})
		})
	}
}

// A transmitter says when something happened. It cannot move that into the future, and
// of an account that is gone what counts is when it said so.
func TestSETMoment(t *testing.T) {
	now := time.Now().Unix()
	for name, test := range map[string]struct {
		event string
		at    any
		want  int64
	}{
		"earlier":            {caep + "credential-change", now - 600, now - 600},
		"later":              {caep + "credential-change", now + 600, now},
		"milliseconds":       {caep + "credential-change", now * 1000, now},
		"a text":             {caep + "credential-change", "now", now},
		"of a gone account":  {risc + "account-disabled", now - 600, now},
		"of a purged one":    {risc + "account-purged", now - 600, now},
		"of all sessions":    {risc + "sessions-revoked", now - 600, now - 600},
		"of changed claims":  {caep + "token-claims-change", now - 600, now - 600},
		"of sessions at all": {caep + "session-revoked", now - 600, now - 600},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			claims := caepClaims(map[string]any{"iat": now, "events": event(test.event, map[string]any{"event_timestamp": test.at})})
			if receipt, got := r.push(r.set(claims)); got != signal.OutcomeRevoked || receipt.Revoked[0].Before.Unix() != test.want {
				t.Errorf("%s: %v, want %d", got, said(receipt), test.want)
			}
		})
	}
}

func TestSETsThatAreRefused(t *testing.T) {
	r := newRig(t, nil)
	typed := func(typ any) string { return r.key.Sign(map[string]any{"typ": typ}, caepClaims(nil)) }
	changed := func(changes map[string]any) string { return r.set(caepClaims(changes)) }
	many := make(map[string]any)
	for i := range 17 {
		many[fmt.Sprint("https://example.com/", i)] = map[string]any{}
	}
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for name, test := range map[string]struct {
		text string
		want signal.Outcome
	}{
		"no type":             {typed(nil), signal.OutcomeType},
		"type JWT":            {typed("JWT"), signal.OutcomeType},
		"access token":        {typed("at+jwt"), signal.OutcomeType},
		"logout token":        {typed("logout+jwt"), signal.OutcomeType},
		"a logout as well":    {changed(map[string]any{"events": map[string]any{signal.EventLogout: map[string]any{}, caep + "session-revoked": map[string]any{}}}), signal.OutcomeType},
		"sub":                 {changed(map[string]any{"sub": "jane"}), signal.OutcomeType},
		"exp":                 {changed(map[string]any{"exp": ago(-time.Minute)}), signal.OutcomeType},
		"no events":           {changed(map[string]any{"events": nil}), signal.OutcomeMalformed},
		"empty events":        {changed(map[string]any{"events": map[string]any{}}), signal.OutcomeMalformed},
		"many events":         {changed(map[string]any{"events": many}), signal.OutcomeMalformed},
		"event is a text":     {changed(map[string]any{"events": map[string]any{caep + "session-revoked": "now"}}), signal.OutcomeMalformed},
		"two subjects":        {changed(map[string]any{"events": event(caep+"session-revoked", map[string]any{"subject": issSub("john")})}), signal.OutcomeMalformed},
		"no jti":              {changed(map[string]any{"jti": nil}), signal.OutcomeMalformed},
		"no iat":              {changed(map[string]any{"iat": nil}), signal.OutcomeMalformed},
		"stale":               {changed(map[string]any{"iat": ago(7*24*time.Hour + time.Minute)}), signal.OutcomeTime},
		"future":              {changed(map[string]any{"iat": ago(-time.Minute)}), signal.OutcomeTime},
		"another audience":    {changed(map[string]any{"aud": clientID}), signal.OutcomeAudience},
		"audience in a text":  {changed(map[string]any{"aud": stream + " x"}), signal.OutcomeAudience},
		"unknown issuer":      {changed(map[string]any{"iss": "https://stranger.example.com"}), signal.OutcomeIssuer},
		"another's signature": {changed(map[string]any{"iss": other}), signal.OutcomeSignature},
		"huge":                {changed(map[string]any{"x": strings.Repeat("x", 16<<10)}), signal.OutcomeMalformed},
		"encrypted":           {"a.b.c.d.e", signal.OutcomeMalformed},
		"nothing":             {"", signal.OutcomeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if receipt, got := r.push(test.text); got != test.want || len(receipt.Revoked) > 0 {
				t.Errorf("%s, want %s: %+v", got, test.want, receipt)
			}
		})
	}
	if n, marks := r.state.List().Len(), r.store.Len("security_event_token"); n != 0 || marks != 0 {
		t.Errorf("%d revocations and %d marks came of it", n, marks)
	}
}

func TestSETsOfMoreThanOneEvent(t *testing.T) {
	r := newRig(t, nil)
	receipt, got := r.push(r.set(caepClaims(map[string]any{"events": map[string]any{
		caep + "credential-change": map[string]any{}, "https://example.com/e": map[string]any{},
	}})))
	slices.Sort(receipt.Events)
	if got != signal.OutcomeRevoked || !slices.Equal(receipt.Events, []string{"credential-change", "other"}) {
		t.Errorf("%s: %+v", got, receipt)
	}
}

// A transmitter that did not hear the answer sends the same again: it is acknowledged,
// and nothing more is done.
func TestSETIsAcknowledgedAgain(t *testing.T) {
	r := newRig(t, nil)
	text := r.set(caepClaims(nil))
	for _, want := range []signal.Outcome{signal.OutcomeRevoked, signal.OutcomeRepeated, signal.OutcomeRepeated} {
		if _, got := r.push(text); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if n := r.state.List().Len(); n != 1 {
		t.Errorf("%d revocations", n)
	}
	verification := r.set(caepClaims(map[string]any{"jti": "v", "events": event(ssf+"verification", map[string]any{"state": "s"})}))
	for _, want := range []bool{true, false} {
		if receipt, _ := r.push(verification); receipt.Verification != want {
			t.Errorf("verification %v, want %v", receipt.Verification, want)
		}
	}
}

func TestPushRequests(t *testing.T) {
	r := newRig(t, nil)
	for i, test := range []struct {
		method, media, body string
		want                signal.Outcome
	}{
		{http.MethodPut, "application/secevent+jwt", r.set(caepClaims(nil)), signal.OutcomeMethod},
		{http.MethodPost, "application/jwt", r.set(caepClaims(nil)), signal.OutcomeMalformed},
		{http.MethodPost, "application/secevent+jwt", strings.Repeat("x", 16<<10+1), signal.OutcomeMalformed},
		{http.MethodPost, "application/secevent+jwt", r.set(caepClaims(nil)), signal.OutcomeRevoked},
	} {
		request := httptest.NewRequest(test.method, "/shared-signals", strings.NewReader(test.body))
		request.Header.Set("Content-Type", test.media)
		if got := outcome(r.receiver.ReceiveSET(request)); got != test.want {
			t.Errorf("%d: %s, want %s", i, got, test.want)
		}
	}
}

// FuzzSET holds that nothing is revoked but tokens of who signed.
func FuzzSET(f *testing.F) {
	r := newRig(f, nil)
	header := string(tokentest.JSON(map[string]any{"alg": "ES256", "typ": "secevent+jwt", "kid": "k1"}))
	for _, example := range examples {
		payload := strings.NewReplacer("$ISS", idp, "$AUD", stream, "1615305159", fmt.Sprint(time.Now().Unix())).Replace(example.claims)
		f.Add(header, payload, true)
	}
	f.Add(`{"alg":"none","typ":"secevent+jwt"}`, `{}`, false)
	f.Fuzz(func(t *testing.T, header, payload string, signed bool) {
		text := header + "." + payload
		if signed {
			text = r.key.SignRaw([]byte(header), []byte(payload))
		}
		receipt, refused := r.receiver.SET(t.Context(), text)
		if refused != nil && (refused.Status() < 400 || refused.Code() == "") {
			t.Errorf("refused with %d %q", refused.Status(), refused.Code())
		}
		if refused == nil && !signed {
			t.Error("taken without a signature")
		}
		for _, event := range receipt.Revoked {
			if event.Issuer != idp {
				t.Errorf("%s was revoked for", event.Issuer)
			}
		}
	})
}
