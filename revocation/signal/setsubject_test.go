package signal_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/revocation/signal"
)

func issSub(sub string) map[string]any {
	return map[string]any{"format": "iss_sub", "iss": idp, "sub": sub}
}

func opaque(id string) map[string]any { return map[string]any{"format": "opaque", "id": id} }

func taken(revoked []string) signal.Outcome {
	if len(revoked) == 0 {
		return signal.OutcomeNoted
	}
	return signal.OutcomeRevoked
}

// said writes what was revoked as examples do.
func said(receipt signal.Receipt) []string {
	var lines []string
	for _, event := range receipt.Revoked {
		before := int64(0)
		if !event.Before.IsZero() {
			before = event.Before.Unix()
		}
		lines = append(lines, fmt.Sprintf("%s %s %d", event.Kind, event.Value, before))
	}
	return lines
}

func TestSETSubjects(t *testing.T) {
	complexly := func(members map[string]any) map[string]any {
		members["format"] = "complex"
		return members
	}
	aliases := func(names ...any) map[string]any { return map[string]any{"format": "aliases", "identifiers": names} }
	foreign := map[string]any{"format": "iss_sub", "iss": other, "sub": "jane"}
	for name, test := range map[string]struct {
		event   string
		subject any
		want    signal.Outcome
		revoked []string // kind and value
	}{
		"issuer and subject": {caep + "credential-change", issSub("jane"), signal.OutcomeRevoked, []string{"subject jane"}},
		"opaque":             {caep + "credential-change", opaque("jane"), signal.OutcomeRevoked, []string{"subject jane"}},
		"another issuer's":   {caep + "session-revoked", foreign, signal.OutcomeForeign, nil},
		"another issuer's token": {
			caep + "token-claims-change",
			map[string]any{"format": "jwt_id", "iss": other, "jti": "j"},
			signal.OutcomeForeign, nil,
		},
		"another issuer's user with a session": {
			caep + "session-revoked", complexly(map[string]any{"user": foreign, "session": opaque("s")}),
			signal.OutcomeForeign, nil,
		},
		"session of another event": {
			caep + "credential-change", complexly(map[string]any{"user": issSub("jane"), "session": opaque("s")}),
			signal.OutcomeRevoked,
			[]string{"subject jane"},
		},
		"session alone": {caep + "token-claims-change", complexly(map[string]any{"session": opaque("s")}), signal.OutcomeRevoked, []string{"session s"}},
		"tenant alone":  {caep + "session-revoked", complexly(map[string]any{"tenant": opaque("t")}), signal.OutcomeUnmatched, nil},
		"opaque user":   {caep + "session-revoked", complexly(map[string]any{"user": opaque("jane")}), signal.OutcomeRevoked, []string{"subject jane"}},
		"email":         {caep + "session-revoked", map[string]any{"format": "email", "email": "jane@example.com"}, signal.OutcomeUnmatched, nil},
		"account":       {risc + "account-purged", map[string]any{"format": "account", "uri": "acct:jane@example.com"}, signal.OutcomeUnmatched, nil},
		"aliases": {
			risc + "account-disabled", aliases(foreign, issSub("jane"), opaque("j2")), signal.OutcomeRevoked,
			[]string{"subject jane", "subject j2"},
		},
		"aliases of another issuer":    {risc + "account-disabled", aliases(foreign), signal.OutcomeForeign, nil},
		"aliases in aliases":           {risc + "account-disabled", aliases(aliases(issSub("jane"))), signal.OutcomeMalformed, nil},
		"aliases without end":          {risc + "account-disabled", aliases(make([]any, 17)...), signal.OutcomeMalformed, nil},
		"no format":                    {caep + "session-revoked", map[string]any{"id": "jane"}, signal.OutcomeMalformed, nil},
		"no member":                    {caep + "session-revoked", map[string]any{"format": "iss_sub", "iss": idp}, signal.OutcomeMalformed, nil},
		"member is a number":           {caep + "session-revoked", map[string]any{"format": "opaque", "id": 7}, signal.OutcomeMalformed, nil},
		"user is a text":               {caep + "session-revoked", complexly(map[string]any{"user": "jane"}), signal.OutcomeMalformed, nil},
		"a text":                       {caep + "session-revoked", "jane", signal.OutcomeMalformed, nil},
		"nobody":                       {caep + "session-revoked", nil, signal.OutcomeMalformed, nil},
		"nobody in an unknown one":     {"https://example.com/event", nil, signal.OutcomeNoted, nil},
		"of a kind that is only noted": {caep + "device-compliance-change", issSub("jane"), signal.OutcomeNoted, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			receipt, got := r.push(r.set(caepClaims(map[string]any{"sub_id": test.subject, "events": event(test.event, nil)})))
			var revoked []string
			for _, one := range receipt.Revoked {
				revoked = append(revoked, string(one.Kind)+" "+one.Value)
				if one.Issuer != idp {
					t.Errorf("a token of %s was revoked", one.Issuer)
				}
			}
			if got != test.want || !slices.Equal(revoked, test.revoked) || r.state.List().Len() != len(test.revoked) {
				t.Errorf("%s %v, want %s %v", got, revoked, test.want, test.revoked)
			}
		})
	}
}

func TestSETSubjectByEmail(t *testing.T) {
	r := newRig(t, func(r *rig) { r.settings.Transmitters[0].NamesByEmail = true })
	subject := map[string]any{"format": "email", "email": "jane@example.com"}
	if _, got := r.push(r.set(caepClaims(map[string]any{"sub_id": subject}))); got != signal.OutcomeRevoked {
		t.Fatal(got)
	}
	if !r.revokes(revocation.Facts{Issuer: idp, Subject: "jane@example.com", IssuedAt: time.Now().Add(-time.Minute)}) {
		t.Error("the subject's tokens are good")
	}
}
