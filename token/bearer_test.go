package token_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// written is the default as an operator would write it, which is read the general way.
var written = token.Sources{{Kind: token.FromHeader, Name: "Authorization", Scheme: "Bearer", OrDPoP: true}}

// FuzzTakeBearer holds that the short way, which nearly every request takes, finds the very
// credential that the long way finds, and leaves the same behind.
func FuzzTakeBearer(f *testing.F) {
	for _, value := range []string{
		"Bearer abc", "bearer abc", "BEARER abc", "Bearer  abc", "Bearer abc ", " Bearer abc", "Bearer\tabc", "Bearer a b", "Bearer a,b",
		"Bearer a\tb", "Bearer", "Bearer ", "Bearerabc", "DPoP abc", "dpop abc", "Basic YTpi", "", "Bearer \x00", "Bearer \xff", "Bearer \u00a0abc",
	} {
		f.Add(value, "", false)
		f.Add(value, value, true)
	}
	f.Fuzz(func(t *testing.T, first, second string, two bool) {
		values := []string{first}
		if two {
			values = append(values, second)
		}
		take := func(from token.Sources) (token.Credential, http.Header, error) {
			header := http.Header{"Authorization": values, "Accept": {"a"}}
			found, err := taken(from, &http.Request{Header: header})
			return found, header, err
		}
		short, left, failed := take(nil)
		long, rest, want := take(written)
		if short.Raw.Reveal() != long.Raw.Reveal() || short.Raw.Digest() != long.Raw.Digest() ||
			short.Kind != long.Kind || short.Presented != long.Presented || short.DPoP != long.DPoP {
			t.Errorf("%q: found %+v, want %+v", values, short, long)
		}
		for _, reason := range []token.Reason{token.Missing, token.Malformed} {
			if errors.Is(failed, reason) != errors.Is(want, reason) {
				t.Errorf("%q: %v, want %v", values, failed, want)
			}
		}
		if diff := cmp.Diff(rest, left); diff != "" {
			t.Errorf("%q: what is left (-want +got):\n%s", values, diff)
		}
	})
}
