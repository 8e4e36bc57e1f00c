package exchange

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestDelegation(t *testing.T) {
	actor := &actorToken{claims: map[string]any{"iss": testIssuer, "sub": "gateway", "n": json.Number("1")}}
	chain := func(length int) string {
		act := "null"
		for range length {
			act = `{"sub":"service","act":` + act + `}`
		}
		return act
	}
	for name, test := range map[string]struct {
		claims string
		actor  *actorToken
		want   Outcome
	}{
		"nothing said":               {`{}`, actor, OutcomeOK},
		"named":                      {`{"may_act":{"sub":"gateway"}}`, actor, OutcomeOK},
		"named with all members":     {`{"may_act":{"sub":"gateway","iss":"` + testIssuer + `","n":1}}`, actor, OutcomeOK},
		"one member of many differs": {`{"may_act":{"sub":"gateway","iss":"https://other"}}`, actor, OutcomeActorDenied},
		"a member nobody has":        {`{"may_act":{"sub":"gateway","x":"y"}}`, actor, OutcomeActorDenied},
		"empty":                      {`{"may_act":{}}`, actor, OutcomeActorDenied},
		"null":                       {`{"may_act":null}`, actor, OutcomeActorDenied},
		"a list":                     {`{"may_act":[{"sub":"gateway"}]}`, actor, OutcomeActorDenied},
		"no actor, so no matter":     {`{"may_act":{}}`, nil, OutcomeOK},
		"three and one":              {`{"act":` + chain(3) + `}`, actor, OutcomeOK},
		"four and one":               {`{"act":` + chain(4) + `}`, actor, OutcomeChainTooLong},
		"four":                       {`{"act":` + chain(4) + `}`, nil, OutcomeOK},
		"five":                       {`{"act":` + chain(5) + `}`, nil, OutcomeChainTooLong},
		"the caller itself":          {`{"sub":"gateway"}`, actor, OutcomeActorDenied},
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := token.ParseClaims([]byte(test.claims))
			if err != nil {
				t.Fatal(err)
			}
			caller := &token.Token{Issuer: testIssuer, Claims: claims}
			caller.Subject, _ = claims.Text("sub")
			added := 0
			if test.actor != nil {
				added++
			}
			err = checkDelegation(caller, test.actor, added)
			got := OutcomeOK
			if failure, ok := errors.AsType[*Error](err); ok {
				got = failure.Outcome
			}
			if got != test.want {
				t.Errorf("%s: %v", got, err)
			}
		})
	}
}

// A file that holds no single token is no actor, and its content is in no message.
func TestActorFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "actor")
	file := &actorFile{path: path}
	if _, err := file.read(); err == nil {
		t.Error("a missing file was read")
	}
	for content, good := range map[string]bool{"a.b.c\n": true, "": false, "\n": false, "two words": false} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		raw, err := (&actorFile{path: path}).read()
		if (err == nil) != good || (good && raw.Reveal() != "a.b.c") {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestDelegate(t *testing.T) {
	actor := map[string]any{"iss": testIssuer, "sub": "gateway", "act": "forged"}
	for name, test := range map[string]struct {
		claims string
		actor  map[string]any
		want   map[string]any
		fails  Outcome
	}{
		"first": {`{"sub":"alice"}`, actor, map[string]any{"iss": testIssuer, "sub": "gateway"}, ""},
		"second": {
			`{"act":{"sub":"a"}}`, actor,
			map[string]any{"iss": testIssuer, "sub": "gateway", "act": map[string]any{"sub": "a"}}, "",
		},
		"nobody":           {`{"sub":"alice"}`, nil, nil, ""},
		"nobody more":      {`{"act":{"sub":"a"}}`, nil, map[string]any{"sub": "a"}, ""},
		"somebody wanted":  {`{"may_act":{"sub":"gateway"}}`, nil, nil, OutcomeActorDenied},
		"somebody else":    {`{"may_act":{"sub":"other"}}`, actor, nil, OutcomeActorDenied},
		"itself":           {`{"sub":"gateway"}`, actor, nil, OutcomeActorDenied},
		"too many of them": {`{"act":{"act":{"act":{"act":{}}}}}`, actor, nil, OutcomeChainTooLong},
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := token.ParseClaims([]byte(test.claims))
			if err != nil {
				t.Fatal(err)
			}
			caller := &token.Token{Issuer: testIssuer, Claims: claims}
			caller.Subject, _ = claims.Text("sub")
			act, err := Delegate(caller, test.actor)
			failure, _ := errors.AsType[*Error](err)
			if test.fails != "" && (failure == nil || failure.Outcome != test.fails) {
				t.Errorf("got %v", err)
			}
			if test.fails == "" && err != nil || !cmp.Equal(act, test.want) {
				t.Errorf("%v, %v", act, err)
			}
		})
	}
	if act, err := Delegate(nil, actor); err != nil || act["sub"] != "gateway" || actor["act"] != "forged" {
		t.Errorf("without a subject: %v, %v", act, err)
	}
}
