package handlers

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuoted(t *testing.T) {
	tests := map[string]string{
		"gatehouse":               `"gatehouse"`,
		"":                        `""`,
		"a b":                     `"a b"`,
		`say "hi"`:                `"say hi"`,
		`back\slash`:              `"backslash"`,
		"line\r\nX-Evil: 1":       `"lineX-Evil: 1"`,
		"tab\tnul\x00del\x7f":     `"tabnuldel"`,
		"Grüße \u2028 \U0001f600": `"Gre  "`,
	}
	for text, want := range tests {
		if got := quoted(text); got != want {
			t.Errorf("quoted(%q) is %s, want %s", text, got, want)
		}
	}
}

// FuzzQuoted holds that whatever is quoted is one quoted-string and one line.
func FuzzQuoted(f *testing.F) {
	f.Add(`a"b\c`)
	f.Add("a\r\nb")
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, text string) {
		got := quoted(text)
		inner := strings.TrimSuffix(strings.TrimPrefix(got, `"`), `"`)
		if len(got) != len(inner)+2 || strings.ContainsAny(inner, "\"\\") {
			t.Errorf("quoted(%q) is %s", text, got)
		}
		for _, c := range []byte(inner) {
			if c < ' ' || c > '~' {
				t.Errorf("quoted(%q) holds byte %#x", text, c)
			}
		}
	})
}

func TestChallengeLeavesOutWhatIsEmpty(t *testing.T) {
	tests := map[string]struct {
		parameters []string
		want       string
	}{
		"nothing":          {nil, `Bearer realm="gatehouse"`},
		"an error":         {[]string{"error", "invalid_token"}, `Bearer realm="gatehouse", error="invalid_token"`},
		"an empty one":     {[]string{"error", "e", "scope", ""}, `Bearer realm="gatehouse", error="e"`},
		"one that injects": {[]string{"scope", "a\", error=\"x\r\n"}, `Bearer realm="gatehouse", scope="a, error=x"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (challenger{realm: "gatehouse"}).challenge(test.parameters...); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAnswerWithoutErrorRoutes(t *testing.T) {
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Cache-Control", "public")
	request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	err := answer{
		status: http.StatusServiceUnavailable, code: "temporarily_unavailable", description: "Later.",
		challenge: "Bearer", retryAfter: 1500 * time.Millisecond,
	}.write(recorder, request)
	if err != nil {
		t.Fatalf("the answer is passed on as an error: %v", err)
	}
	result := recorder.Result()
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Retry-After": "2", "WWW-Authenticate": "Bearer", "Content-Type": "application/problem+json",
	} {
		if got := result.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var body map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "about:blank", "title": "Service Unavailable", "status": 503., "detail": "Later.",
		"error": "temporarily_unavailable", "error_description": "Later.",
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("the body (-want +got):\n%s", diff)
	}
}
