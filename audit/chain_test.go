package audit

import (
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestEarlierActors(t *testing.T) {
	endless := strings.Repeat(`{"sub":"x","act":`, 30) + "null" + strings.Repeat("}", 30)
	for claims, want := range map[string]string{
		`{}`: "", `{"act":{"sub":"a"}}`: "", `{"act":"a"}`: "", `{"act":{"sub":"a","act":"b"}}`: "",
		`{"act":{"sub":"a","act":{"sub":"b","act":{"sub":"c"}}}}`: "b c",
		`{"act":` + endless + `}`:                                 strings.TrimSpace(strings.Repeat("x ", maxActors-1)),
	} {
		parsed, err := token.ParseClaims([]byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		if got := earlierActors(&token.Token{Claims: parsed}); got != want {
			t.Errorf("%s: %q", claims, got)
		}
	}
}

// Who acted with the token that another one was made of comes before who acts with that one,
// unless it is the same.
func TestActorsBefore(t *testing.T) {
	parsed, err := token.ParseClaims([]byte(`{"act":{"sub":"a","act":{"sub":"b"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for actor, want := range map[string]string{"client:orders": "a b", "a": "b", "": "a b"} {
		if got := before(actor, &token.Token{Claims: parsed}); got != want {
			t.Errorf("%q: %q, want %q", actor, got, want)
		}
	}
}
