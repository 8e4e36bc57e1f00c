package authserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseTokenResponse(t *testing.T) {
	sent := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	base := func(change func(*TokenResponse)) *TokenResponse {
		response := &TokenResponse{AccessToken: NewSecret("t"), TokenType: "Bearer", SentAt: sent}
		change(response)
		return response
	}
	expires := func(life time.Duration) *TokenResponse {
		return base(func(r *TokenResponse) { r.ExpiresIn, r.HasExpiresIn = life, true })
	}
	tests := map[string]struct {
		members string // beside access_token and token_type
		want    *TokenResponse
	}{
		"the least":        {``, base(func(*TokenResponse) {})},
		"unknown members":  {`,"x":{"y":[1]},"refresh_token":"r"`, base(func(*TokenResponse) {})},
		"issued type":      {`,"issued_token_type":"urn:x"`, base(func(r *TokenResponse) { r.IssuedTokenType = "urn:x" })},
		"scope":            {`,"scope":"a  b "`, base(func(r *TokenResponse) { r.Scope, r.HasScope = []string{"a", "b"}, true })},
		"scope with a tab": {`,"scope":"a\tb"`, base(func(r *TokenResponse) { r.Scope, r.HasScope = []string{"a\tb"}, true })},
		"no scope at all":  {`,"scope":""`, base(func(r *TokenResponse) { r.Scope, r.HasScope = []string{}, true })},
		"null is absent":   {`,"scope":null,"expires_in":null,"error":null`, base(func(*TokenResponse) {})},
		"seconds":          {`,"expires_in":60`, expires(time.Minute)},
		"half seconds":     {`,"expires_in":0.5`, expires(500 * time.Millisecond)},
		"zero":             {`,"expires_in":0`, expires(0)},
		"negative":         {`,"expires_in":-3600`, expires(-time.Second)},
		"for ever":         {`,"expires_in":1e300`, expires(maxLife)},
		"digits in a text": {`,"expires_in":"3599"`, expires(3599 * time.Second)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseTokenResponse([]byte(`{"access_token":"t","token_type":"Bearer"`+test.members+`}`), sent)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(Secret{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseTokenResponseRefuses(t *testing.T) {
	tests := map[string]string{
		"nothing":                  ``,
		"a list":                   `[]`,
		"no access_token":          `{"token_type":"Bearer"}`,
		"empty access_token":       `{"access_token":"","token_type":"Bearer"}`,
		"null access_token":        `{"access_token":null,"token_type":"Bearer"}`,
		"access_token is a number": `{"access_token":1,"token_type":"Bearer"}`,
		"no token_type":            `{"access_token":"t"}`,
		"token_type is a list":     `{"access_token":"t","token_type":["Bearer"]}`,
		"scope is a list":          `{"access_token":"t","token_type":"Bearer","scope":["a"]}`,
		"issued type is true":      `{"access_token":"t","token_type":"Bearer","issued_token_type":true}`,
		"expires_in is a word":     `{"access_token":"t","token_type":"Bearer","expires_in":"soon"}`,
		"expires_in is signed":     `{"access_token":"t","token_type":"Bearer","expires_in":"-1"}`,
		"expires_in is empty":      `{"access_token":"t","token_type":"Bearer","expires_in":""}`,
		"expires_in is true":       `{"access_token":"t","token_type":"Bearer","expires_in":true}`,
		"expires_in overflows":     `{"access_token":"t","token_type":"Bearer","expires_in":1e999}`,
		"two access_tokens":        `{"access_token":"t","access_token":"u","token_type":"Bearer"}`,
		"text behind":              `{"access_token":"t","token_type":"Bearer"} x`,
		"an error as well":         `{"access_token":"t","token_type":"Bearer","error":"invalid_grant"}`,
	}
	for name, body := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseTokenResponse([]byte(body), time.Time{})
			if !errors.Is(err, ErrBadAnswer) {
				t.Errorf("got %v, error %v", got, err)
			}
			if got != nil {
				t.Errorf("an error with an answer: %v", got)
			}
		})
	}
}

func TestSecretNeverPrints(t *testing.T) {
	secret := NewSecret("CANARY")
	response := &TokenResponse{AccessToken: secret}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", secret, "response", response)
	encoded, err := json.Marshal(map[string]any{"a": secret, "b": response})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{log.String(), string(encoded), secret.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, secret), fmt.Sprintf(verb, *response), fmt.Sprintf(verb, Basic(secret)))
	}
	for _, text := range texts {
		if strings.Contains(text, "CANARY") || strings.Contains(text, fmt.Sprintf("%x", "CANARY")) {
			t.Errorf("printed: %s", text)
		}
	}
	if secret.Reveal() != "CANARY" {
		t.Error("Reveal does not")
	}
}

// FuzzTokenResponse: whatever a server answers, there is no panic, and what is
// accepted has the shape that is promised.
func FuzzTokenResponse(f *testing.F) {
	for _, seed := range []string{
		goodAnswer,
		`{"access_token":"t","token_type":"Bearer","expires_in":"60"}`,
		`{"access_token":"t","token_type":"N_A","scope":null,"expires_in":1e9}`,
		`{"error":"invalid_grant"}`, `[`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		response, err := parseTokenResponse(body, time.Time{})
		switch {
		case err != nil:
			if !errors.Is(err, ErrBadAnswer) || response != nil {
				t.Errorf("error %v with %v", err, response)
			}
		case response.AccessToken.IsZero(), response.TokenType == "":
			t.Error("a required member is missing")
		case response.ExpiresIn > maxLife, response.ExpiresIn < -time.Second:
			t.Errorf("life %v", response.ExpiresIn)
		case !response.HasScope && response.Scope != nil, !response.HasExpiresIn && response.ExpiresIn != 0:
			t.Error("a value without its mark")
		}
	})
}
