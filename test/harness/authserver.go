package harness

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// An AuthServer is an authorization server in the hands of a test: it signs
// whatever the test wants and records what the gateway sends.
type AuthServer struct {
	*tokentest.Issuer

	Key *tokentest.Key

	mu       sync.Mutex
	forms    []url.Values
	answers  func(form url.Values, w http.ResponseWriter)
	known    func(r *http.Request) bool
	stranger func(w http.ResponseWriter)
}

// The client that the gateway is at an AuthServer.
const (
	ClientID     = "gateway"
	ClientSecret = "canary-client-secret"
)

// NewAuthServer starts a server with an ES256 key k1; it ends with the test.
func NewAuthServer(tb testing.TB) *AuthServer {
	tb.Helper()
	key := tokentest.NewKey(tb, "ES256", "k1")
	server := &AuthServer{Issuer: tokentest.NewIssuer(tb, key), Key: key}
	server.Handle("/token", server.token)
	return server
}

// Token signs a good access token with changes; see tokentest.Claims.
func (s *AuthServer) Token(changes map[string]any) string {
	return s.Key.Sign(nil, s.Claims(changes))
}

// Answer changes how the token endpoint answers.
func (s *AuthServer) Answer(answer func(form url.Values, w http.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers = answer
}

// AnswerJSON makes the token endpoint answer with a status and an object.
func (s *AuthServer) AnswerJSON(status int, members map[string]any) {
	s.Answer(func(_ url.Values, w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(members)
	})
}

// Forms are the requests that the token endpoint got, oldest first.
func (s *AuthServer) Forms() []url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.Values(nil), s.forms...)
}

// token is a strict token endpoint: it refuses what a real one refuses.
func (s *AuthServer) token(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.forms = append(s.forms, r.PostForm)
	answer, known, stranger := s.answers, s.known, s.stranger
	s.mu.Unlock()
	if known == nil {
		known = authenticated
	}
	good := known(r) // once: an assertion is
	switch {
	case !good && stranger != nil:
		stranger(w)
	case !good:
		refuse(w, http.StatusUnauthorized, "invalid_client")
	case answer != nil:
		answer(r.PostForm, w)
	default:
		if code := formFault(r.PostForm); code != "" {
			refuse(w, http.StatusBadRequest, code)
			return
		}
		s.issue(w, r.PostForm)
	}
}

// What a request of each grant must hold, and what it must not.
const (
	tokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
	jwtBearer         = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	clientCredentials = "client_credentials"
)

var grantFields = map[string]struct{ need, never []string }{
	tokenExchange:     {[]string{"subject_token", "subject_token_type"}, []string{"assertion"}},
	jwtBearer:         {[]string{"assertion"}, []string{"subject_token", "subject_token_type", "actor_token"}},
	clientCredentials: {nil, []string{"assertion", "subject_token", "subject_token_type", "actor_token"}},
}

// formFault is the error code for a form, "" if nothing is wrong with it.
func formFault(form url.Values) string {
	fields, known := grantFields[form.Get("grant_type")]
	if !known {
		return "unsupported_grant_type"
	}
	for name, values := range form {
		if values[0] == "" || (len(values) > 1 && name != "audience" && name != "resource") || slices.Contains(fields.never, name) {
			return "invalid_request"
		}
	}
	for _, name := range fields.need {
		if !form.Has(name) {
			return "invalid_request"
		}
	}
	if form.Has("actor_token") != form.Has("actor_token_type") {
		return "invalid_request" // RFC 8693, section 2.1
	}
	return ""
}

// Issued is the answer to an exchange as a good server gives it, with changes; a
// nil value leaves a member out.
func (s *AuthServer) Issued(form url.Values, changes map[string]any) map[string]any {
	audience := form.Get("audience")
	if audience == "" {
		audience = form.Get("resource")
	}
	subject := "alice"
	if form.Get("grant_type") == clientCredentials {
		subject = ClientID
	}
	claims := s.Claims(map[string]any{
		"sub": subject, "aud": audience, "scope": form.Get("scope"), "client_id": ClientID,
		"jti": "exchanged", "exp": time.Now().Add(2 * time.Minute).Unix(),
	})
	members := map[string]any{
		"access_token": s.Key.Sign(nil, claims), "token_type": "Bearer", "expires_in": 120,
		"issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "scope": form.Get("scope"),
	}
	if form.Get("grant_type") != tokenExchange {
		delete(members, "issued_token_type") // theirs are RFC 6749's answers
	}
	for name, value := range changes {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
	return members
}

func (s *AuthServer) issue(w http.ResponseWriter, form url.Values) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.Issued(form, nil))
}

func authenticated(r *http.Request) bool {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	return id == ClientID && secret == ClientSecret && (!basic || !r.PostForm.Has("client_secret"))
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "canary-description"})
}

// Claims reads the claims of a token without verifying it.
func Claims(tb testing.TB, text string) map[string]any {
	tb.Helper()
	return part(tb, text, 1)
}

// Header reads the header of a token without verifying it.
func Header(tb testing.TB, text string) map[string]any {
	tb.Helper()
	return part(tb, text, 0)
}

func part(tb testing.TB, text string, number int) map[string]any {
	tb.Helper()
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		tb.Fatalf("not a JWT: %d parts", len(parts))
	}
	var members map[string]any
	if err := json.Unmarshal(tokentest.Decode(tb, parts[number]), &members); err != nil {
		tb.Fatal(err)
	}
	return members
}
