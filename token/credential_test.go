package token_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestTake(t *testing.T) {
	tests := map[string]struct {
		values []string
		text   string
		want   error
	}{
		"bearer":             {[]string{"Bearer abc"}, "abc", nil},
		"lower case":         {[]string{"bearer abc"}, "abc", nil},
		"two blanks":         {[]string{"BEARER  abc "}, "abc", nil},
		"none":               {nil, "", token.Missing},
		"empty":              {[]string{""}, "", token.Missing},
		"scheme alone":       {[]string{"Bearer"}, "", token.Missing},
		"scheme and blank":   {[]string{"Bearer "}, "", token.Missing},
		"another scheme":     {[]string{"Basic abc"}, "", token.Missing},
		"longer scheme":      {[]string{"Bearers abc"}, "", token.Missing},
		"no blank":           {[]string{"Bearerabc"}, "", token.Missing},
		"two headers":        {[]string{"Bearer abc", "Bearer abc"}, "", token.Malformed},
		"two schemes":        {[]string{"Bearer abc", "Basic abc"}, "", token.Malformed},
		"two in one":         {[]string{"Bearer abc, Bearer def"}, "", token.Malformed},
		"two tokens":         {[]string{"Bearer abc def"}, "", token.Malformed},
		"too long":           {[]string{"Bearer " + strings.Repeat("a", 16<<10)}, "", token.Malformed},
		"as long as allowed": {[]string{"Bearer " + strings.Repeat("a", 16<<10-7)}, strings.Repeat("a", 16<<10-7), nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{"Authorization": test.values, "X-Other": {"kept"}}
			raw, err := take(header)
			if !errors.Is(err, test.want) || raw.Reveal() != test.text {
				t.Errorf("got %v, %v", raw, err)
			}
			if len(header) != 1 {
				t.Errorf("the request still has %v", header)
			}
		})
	}
}

func TestRawNeverPrintsItself(t *testing.T) {
	raw := token.NewRaw("canary")
	encoded, err := json.Marshal(struct{ Token token.Raw }{raw})
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "token", raw, "pointer", &raw)
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "token", raw, "pointer", &raw)
	printed := fmt.Sprintf("%v %+v %#v %s %q %x %d", raw, raw, raw, raw, raw, raw, raw)
	if hidden := fmt.Sprintf("%v %+v %#v", struct{ raw token.Raw }{raw}, struct{ raw token.Raw }{raw}, struct{ raw *token.Raw }{&raw}); strings.Contains(hidden, "canary") {
		t.Errorf("printed itself from an unexported field: %s", hidden)
	}
	for _, text := range []string{printed, string(encoded), logged.String(), fmt.Sprint(struct{ R token.Raw }{raw})} {
		if strings.Contains(text, "canary") || strings.Contains(text, fmt.Sprintf("%x", "canary")) {
			t.Errorf("printed itself: %s", text)
		}
		if !strings.Contains(text, raw.Digest().Fingerprint()) {
			t.Errorf("printed no fingerprint: %s", text)
		}
	}
}

// take is Take with the default sources (RFC 6750, section 2.1: the Authorization
// header; the scheme's name is case-insensitive, RFC 9110, section 11.1).
func take(header http.Header) (token.Raw, error) {
	found, err := taken(nil, &http.Request{Header: header})
	return found.Raw, err
}

func FuzzTake(f *testing.F) {
	f.Add("Bearer abc", "")
	f.Add("bearer a,b", "x")
	f.Fuzz(func(t *testing.T, first, second string) {
		header := http.Header{"Authorization": {first}}
		if second != "" {
			header["Authorization"] = append(header["Authorization"], second)
		}
		raw, err := take(header)
		if len(header) != 0 {
			t.Fatal("the credential is still there")
		}
		if (err == nil) == raw.IsZero() || (second != "" && err == nil) {
			t.Fatalf("%v, %v", raw, err)
		}
	})
}
