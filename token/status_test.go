package token_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const listURL = "https://idp.example.com/statuslists/1"

// statuses says of every entry what it is told to.
type statuses struct {
	err   error
	asked []token.Status
}

// Check implements token.StatusSource.
func (s *statuses) Check(_ context.Context, status token.Status) error {
	s.asked = append(s.asked, status)
	return s.err
}

// The list is asked on each request, of remembered tokens too, and only about tokens
// that are good.
func TestStatusIsAskedEachTime(t *testing.T) {
	w := newWorld(t, "ES256")
	lists := new(statuses)
	w.issuer.Statuses = lists
	raw := w.sign(nil, map[string]any{"status": tokentest.Status(listURL, 7)})
	for _, err := range []error{nil, nil, token.StatusInvalid, token.StatusUnknown, context.Canceled, nil} {
		lists.err = err
		verified, got := w.verify(t, raw)
		if !errors.Is(got, err) || (verified == nil) != (err != nil) {
			t.Errorf("%v, want %v", got, err)
		}
	}
	if want := (token.Status{URI: listURL, Index: 7}); len(lists.asked) != 6 || lists.asked[0] != want {
		t.Errorf("asked %v", lists.asked)
	}
	thief := tokentest.NewKey(t, "ES256", "k1")
	for name, bad := range map[string]token.Raw{
		"of another": token.NewRaw(thief.Sign(nil, tokentest.Claims(issuerURL, map[string]any{"status": tokentest.Status(listURL, 7)}))),
		"expired":    w.sign(nil, map[string]any{"status": tokentest.Status(listURL, 7), "exp": 1}),
		"without":    w.sign(nil, nil),
	} {
		_, err := w.verify(t, bad)
		if len(lists.asked) != 6 || (err == nil) != (name == "without") {
			t.Errorf("%s: %v, asked %d times", name, err, len(lists.asked))
		}
	}
	w.issuer.Statuses = nil
	if _, err := w.verify(t, raw); !errors.Is(err, token.WrongStatusList) {
		t.Errorf("an issuer without lists: %v", err)
	}
}

func TestStatusClaims(t *testing.T) {
	entry := func(members map[string]any) any { return map[string]any{"status_list": members} }
	tests := map[string]struct {
		status any
		good   bool
	}{
		"good":              {tokentest.Status(listURL, 0), true},
		"with more members": {map[string]any{"status_list": map[string]any{"uri": listURL, "idx": 0, "x": 1}, "other": 1}, true},
		"a text":            {"active", false},
		"a number":          {0, false},
		"a list":            {[]any{tokentest.Status(listURL, 0)}, false},
		"null in it":        {entry(nil), false},
		"empty":             {map[string]any{}, false},
		"another way":       {map[string]any{"status_assertion": map[string]any{"uri": listURL}}, false},
		"a list of lists":   {map[string]any{"status_list": []any{map[string]any{"uri": listURL, "idx": 0}}}, false},
		"no uri":            {entry(map[string]any{"idx": 0}), false},
		"uri of a number":   {entry(map[string]any{"uri": 1, "idx": 0}), false},
		"empty uri":         {entry(map[string]any{"uri": "", "idx": 0}), false},
		"uri too long":      {entry(map[string]any{"uri": listURL + string(slices.Repeat([]byte("x"), 2048)), "idx": 0}), false},
		"no idx":            {entry(map[string]any{"uri": listURL}), false},
		"idx of a text":     {entry(map[string]any{"uri": listURL, "idx": "0"}), false},
		"idx below":         {entry(map[string]any{"uri": listURL, "idx": -1}), false},
		"idx in between":    {entry(map[string]any{"uri": listURL, "idx": 0.5}), false},
		"idx above":         {entry(map[string]any{"uri": listURL, "idx": uint64(1) << 63}), false},
		"idx beyond":        {entry(map[string]any{"uri": listURL, "idx": 1e30}), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "ES256")
			w.issuer.Statuses = new(statuses)
			_, err := w.verify(t, w.sign(nil, map[string]any{"status": test.status}))
			if test.good != (err == nil) || (!test.good && !errors.Is(err, token.BadClaim)) {
				t.Errorf("%v", err)
			}
		})
	}
	// null is a claim, and not an object.
	w := newWorld(t, "ES256")
	header := []byte(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`)
	payload := []byte(`{"iss":"` + issuerURL + `","aud":"` + audience + `","exp":9999999999,"status":null}`)
	if _, err := w.verify(t, token.NewRaw(w.signer.SignRaw(header, payload))); !errors.Is(err, token.BadClaim) {
		t.Errorf("null: %v", err)
	}
}

// A status list is signed by the very keys of the issuer, and is no access token.
func TestStatusListIsNoAccessToken(t *testing.T) {
	w := newWorld(t, "ES256")
	list := tokentest.StatusListClaims(listURL, tokentest.StatusList(1, []byte{0}), map[string]any{
		"iss": issuerURL, "aud": audience, "client_id": "app", "jti": "1",
	})
	if _, err := w.verify(t, token.NewRaw(w.signer.Sign(tokentest.StatusListHeader(), list))); !errors.Is(err, token.WrongType) {
		t.Errorf("%v", err)
	}
}

func TestExplainStatus(t *testing.T) {
	w := newWorld(t, "ES256")
	lists := new(statuses)
	w.issuer.Statuses = lists
	named := map[string]any{"status": tokentest.Status(listURL, 7)}
	for name, test := range map[string]struct {
		err     error
		expired bool
		want    token.Outcome
		reason  token.Reason
	}{
		"good":     {nil, false, token.Passed, ""},
		"revoked":  {token.StatusInvalid, false, token.Failed, token.StatusInvalid},
		"gone":     {context.Canceled, false, token.Failed, token.StatusUnknown},
		"bad else": {nil, true, token.NotReached, ""},
	} {
		lists.err = test.err
		claims := map[string]any{"status": named["status"]}
		if test.expired {
			claims["exp"] = 1
		}
		explained := w.verifier.Explain(t.Context(), w.sign(nil, claims))
		last := explained.Checks[len(explained.Checks)-1]
		reason, _ := errors.AsType[token.Reason](last.Err)
		if last.Name != "status" || last.Outcome != test.want || (test.reason != "" && !errors.Is(last.Err, test.reason)) {
			t.Errorf("%s: %+v, %s", name, last, reason)
		}
	}
	var names []string
	for _, check := range w.verifier.Explain(t.Context(), w.sign(nil, nil)).Checks {
		names = append(names, check.Name)
	}
	if diff := cmp.Diff(everyCheck, names); diff != "" {
		t.Error(diff)
	}
}
