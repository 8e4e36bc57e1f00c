package exchange

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testIssuer = "https://idp.example"
	testSecret = "secret-CANARY"
)

// A clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// An sts is a token endpoint that is as strict as the strictest real ones: it
// refuses whatever RFC 8693 and RFC 6749 do not allow, and fails the test.
type sts struct {
	tb     testing.TB
	server *httptest.Server
	grant  string // the grant_type it is asked with

	mu     sync.Mutex
	forms  []url.Values
	answer http.HandlerFunc
}

func newSTS(tb testing.TB) *sts {
	tb.Helper()
	fake := &sts{tb: tb, grant: grantTypes[GrantTokenExchange]}
	fake.answer = fake.issue(nil)
	fake.server = httptest.NewTLSServer(fake)
	tb.Cleanup(fake.server.Close)
	return fake
}

// ServeHTTP implements http.Handler.
func (s *sts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.tb.Error(err)
	}
	for _, fault := range s.requestFaults(r) {
		s.tb.Errorf("the request is wrong: %s", fault)
	}
	s.mu.Lock()
	s.forms = append(s.forms, r.PostForm)
	answer := s.answer
	s.mu.Unlock()
	answer(w, r)
}

// needs are the fields that each grant must have, beside those of no other.
var needs = map[string][]string{
	grantTypes[GrantTokenExchange]:     {"subject_token", "subject_token_type"},
	grantTypes[GrantJWTBearer]:         {"assertion"},
	grantTypes[GrantClientCredentials]: nil,
}

func (s *sts) requestFaults(r *http.Request) []string {
	var faults []string
	id, secret, _ := r.BasicAuth()
	if r.Method != http.MethodPost || r.URL.RawQuery != "" || id != "gateway" || secret != testSecret {
		faults = append(faults, "not an authenticated POST")
	}
	for name, values := range r.PostForm {
		if slices.Contains(values, "") {
			faults = append(faults, name+" is empty")
		}
		if len(values) > 1 && name != "audience" && name != "resource" {
			faults = append(faults, name+" is repeated")
		}
	}
	if r.PostForm.Get("grant_type") != s.grant {
		faults = append(faults, "grant_type")
	}
	for _, name := range []string{"subject_token", "subject_token_type", "assertion"} {
		if r.PostForm.Has(name) != slices.Contains(needs[s.grant], name) {
			faults = append(faults, "with or without "+name)
		}
	}
	for _, name := range []string{"actor_token", "client_id", "client_secret"} {
		if r.PostForm.Has(name) {
			faults = append(faults, name)
		}
	}
	return faults
}

func (s *sts) calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.forms)
}

func (s *sts) lastForm() url.Values {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forms[len(s.forms)-1]
}

func (s *sts) answers(answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// issue answers with a token of its own for each call and the members of an
// ordinary answer, changed by the ones given: nil removes one.
func (s *sts) issue(change map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		members := map[string]any{
			"access_token": fmt.Sprintf("issued-%d-for-%.8s", s.calls(),
				token.NewRaw(r.PostForm.Get("subject_token")).Digest().Fingerprint()[7:]),
			"token_type":        "Bearer",
			"issued_token_type": TypeAccessToken,
			"expires_in":        300,
		}
		if r.PostForm.Has("scope") {
			members["scope"] = r.PostForm.Get("scope")
		}
		for name, value := range change {
			members[name] = value
			if value == nil {
				delete(members, name)
			}
		}
		writeJSON(w, http.StatusOK, members)
	}
}

// refuse answers with an OAuth error, or without one if the code is "".
func refuse(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if code == "" {
			http.Error(w, "no", status)
			return
		}
		// Servers repeat what they were sent; none of it may come out again.
		writeJSON(w, status, map[string]any{"error": code, "error_description": r.PostForm.Encode()})
	}
}

func writeJSON(w http.ResponseWriter, status int, members map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	text, _ := json.Marshal(members)
	_, _ = w.Write(text)
}

// client returns a client of the server.
func (s *sts) client(timeout time.Duration, now func() time.Time) *authserver.Client {
	s.tb.Helper()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw})
	client, err := authserver.NewClient(authserver.ClientOptions{
		ID: "gateway", Auth: authserver.Basic(authserver.NewSecret(testSecret)),
		TokenEndpoint: s.server.URL + "/token", TrustCA: [][]byte{certificate}, Timeout: timeout, Now: now,
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	s.tb.Cleanup(client.Close)
	return client
}

// A rig is an exchanger with its server and clock.
type rig struct {
	*Exchanger
	sts   *sts
	clock *clock
}

func newRig(tb testing.TB, change func(*Config)) rig {
	tb.Helper()
	fake, at := newSTS(tb), newClock()
	return rig{newExchanger(tb, fake, at, change), fake, at}
}

func newExchanger(tb testing.TB, fake *sts, at *clock, change func(*Config)) *Exchanger {
	tb.Helper()
	config := Config{
		Leg: Leg{
			Client:   fake.client(0, at.Now),
			Audience: []string{"orders"}, Scope: []string{"orders:read", "orders:write"},
		},
		State: newState(tb, 1000), SubjectIssuers: []string{testIssuer}, Now: at.Now,
	}
	if change != nil {
		change(&config)
	}
	exchanger, err := New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return exchanger
}

func newState(tb testing.TB, entries int) *State {
	tb.Helper()
	state := NewState(entries, DefaultCacheBytes)
	tb.Cleanup(state.Close)
	return state
}

// caller makes a caller whose token is good for an hour.
func (r rig) caller(text string, scopes ...string) Caller {
	return callerAt(r.clock.Now(), text, scopes...)
}

func callerAt(now time.Time, text string, scopes ...string) Caller {
	raw := token.NewRaw(text)
	return Caller{Raw: raw, Token: &token.Token{
		Issuer: testIssuer, Subject: "user of " + text, Scopes: scopes, Audience: []string{"https://api.example"},
		Expiry: now.Add(time.Hour), Digest: raw.Digest(),
	}}
}

// jwt makes a text that reads as a JWT with these claims. Its signature is
// nobody's.
func jwt(claims map[string]any) string {
	payload, _ := json.Marshal(claims)
	encode := base64.RawURLEncoding.EncodeToString
	return strings.Join([]string{encode([]byte(`{"alg":"ES256"}`)), encode(payload), encode([]byte("signature"))}, ".")
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

func page(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>hello</html>") }
