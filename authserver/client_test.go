package authserver

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestClientAuthentication(t *testing.T) {
	// RFC 6749, section 2.3.1: what would break the pair apart is encoded first.
	const id, secret = "gate:way/ü", "p+ss w%rd:"
	tests := map[string]struct {
		auth   ClientAuth
		header string
		form   url.Values
	}{
		"basic": {
			Basic(NewSecret(secret)),
			"Basic " + base64.StdEncoding.EncodeToString([]byte("gate%3Away%2F%C3%BC:p%2Bss+w%25rd%3A")),
			url.Values{"subject_token": {testSubject}},
		},
		"post": {
			Post(NewSecret(secret)),
			"",
			url.Values{"subject_token": {testSubject}, "client_id": {id}, "client_secret": {secret}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
				if diff := cmp.Diff(test.header, r.Header.Get("Authorization")); diff != "" {
					t.Errorf("Authorization: %s", diff)
				}
				if diff := cmp.Diff(test.form, r.PostForm); diff != "" {
					t.Errorf("form: %s", diff)
				}
				writeJSON(w, http.StatusOK, goodAnswer)
			})
			client := newTestClient(t, ClientOptions{
				ID: id, Auth: test.auth, TokenEndpoint: server.URL, TrustCA: trust(server),
			})
			form := subjectForm()
			if _, err := client.Token(t.Context(), form); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(subjectForm(), form); diff != "" {
				t.Errorf("the caller's form was changed: %s", diff)
			}
		})
	}
}

func TestClientRefusesSecondAuthentication(t *testing.T) {
	server := endpoint(t, func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") })
	for _, name := range clientAuthFields {
		form := subjectForm()
		form.Set(name, "x")
		if _, err := clientOf(t, server).Token(t.Context(), form); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestTokenRefusals(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		status int
		retry  string
		body   string
		want   Refusal
	}{
		"a code":                 {400, "", `{"error":"invalid_grant"}`, Refusal{Status: 400, Code: "invalid_grant", RetryAfter: 0}},
		"a code with 403":        {403, "", `{"error":"access_denied","error_description":"no"}`, Refusal{Status: 403, Code: "access_denied", RetryAfter: 0}},
		"no body":                {401, "", ``, Refusal{Status: 401, Code: "", RetryAfter: 0}},
		"a page":                 {500, "", `<html>`, Refusal{Status: 500, Code: "", RetryAfter: 0}},
		"a code that is no text": {400, "", `{"error":{"a":1}}`, Refusal{Status: 400, Code: "", RetryAfter: 0}},
		"a code of a whole line": {400, "", `{"error":"x\r\ny"}`, Refusal{Status: 400, Code: "", RetryAfter: 0}},
		"a code in markup":       {400, "", `{"error":"<b>"}`, Refusal{Status: 400, Code: "", RetryAfter: 0}},
		"a long code":            {400, "", `{"error":"` + strings.Repeat("a", 65) + `"}`, Refusal{Status: 400, Code: "", RetryAfter: 0}},
		"two codes":              {400, "", `{"error":"invalid_grant","error":"access_denied"}`, Refusal{Status: 400, Code: "", RetryAfter: 0}},
		"a login wanted": {
			400, "", `{"error":"insufficient_user_authentication","acr_values":"gold silver","max_age":300}`,
			Refusal{Status: 400, Code: "insufficient_user_authentication", ACRValues: "gold silver", MaxAge: "300"},
		},
		"a login wanted in words that end a challenge": {
			400, "", `{"error":"login_required","acr_values":"a\", x=\"b","max_age":"1\r\nX: y"}`,
			Refusal{Status: 400, Code: "login_required"},
		},
		"wait in seconds":     {429, "17", ``, Refusal{Status: 429, Code: "", RetryAfter: 17 * time.Second}},
		"wait until a date":   {503, "Fri, 02 Jan 2026 03:05:05 GMT", ``, Refusal{Status: 503, Code: "", RetryAfter: time.Minute}},
		"wait until the past": {503, "Fri, 02 Jan 2026 03:03:05 GMT", ``, Refusal{Status: 503, Code: "", RetryAfter: 0}},
		"wait for nonsense":   {503, "-5", ``, Refusal{Status: 503, Code: "", RetryAfter: 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.retry != "" {
					w.Header().Set("Retry-After", test.retry)
				}
				writeJSON(w, test.status, test.body)
			})
			client := newTestClient(t, ClientOptions{
				TokenEndpoint: server.URL, TrustCA: trust(server), Now: func() time.Time { return now },
			})
			_, err := client.Token(t.Context(), subjectForm())
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("error %v is not a refusal", err)
			}
			if diff := cmp.Diff(test.want, *refusal); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTokenSentAt(t *testing.T) {
	sent := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var clock atomic.Pointer[time.Time]
	clock.Store(&sent)
	server := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
		later := sent.Add(time.Minute)
		clock.Store(&later)
		writeJSON(w, http.StatusOK, goodAnswer)
	})
	client := newTestClient(t, ClientOptions{
		TokenEndpoint: server.URL, TrustCA: trust(server), Now: func() time.Time { return *clock.Load() },
	})
	response, err := client.Token(t.Context(), subjectForm())
	if err != nil {
		t.Fatal(err)
	}
	if !response.SentAt.Equal(sent) {
		t.Errorf("life counts from %v, sent at %v", response.SentAt, sent)
	}
}

// A redirect of the token endpoint would carry the secret and the caller's token
// to another host (attack row 33).
func TestTokenFollowsNoRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		thief := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Errorf("%d was followed", status)
		}))
		t.Cleanup(thief.Close)
		server := endpoint(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", thief.URL)
			w.WriteHeader(status)
		})
		if _, err := clientOf(t, server).Token(t.Context(), subjectForm()); !errors.Is(err, ErrBadAnswer) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestTokenFailures(t *testing.T) {
	release := make(chan struct{})
	server := endpoint(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-release
		case "/reset":
			hijack(t, w)
		case "/oversize":
			writeJSON(w, http.StatusOK, `{"access_token":"`+strings.Repeat("a", maxAnswerBytes)+`"}`)
		case "/page":
			writeJSON(w, http.StatusOK, "<html>hello</html>")
		case "/nothing":
			w.WriteHeader(http.StatusNoContent)
		}
	})
	t.Cleanup(func() { close(release) })
	gone := httptest.NewTLSServer(http.NotFoundHandler())
	gone.Close()
	tests := map[string]struct {
		url   string
		trust [][]byte
		want  error
	}{
		"nobody listens": {gone.URL, trust(server), ErrUnreachable},
		"untrusted":      {server.URL, nil, ErrUnreachable},
		"reset":          {server.URL + "/reset", trust(server), ErrUnreachable},
		"slow":           {server.URL + "/slow", trust(server), ErrTimeout},
		"oversize":       {server.URL + "/oversize", trust(server), ErrBadAnswer},
		"not JSON":       {server.URL + "/page", trust(server), ErrBadAnswer},
		"nothing at all": {server.URL + "/nothing", trust(server), ErrBadAnswer},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			// Only the slow one may run out of time, however busy the machine is.
			timeout := time.Minute
			if errors.Is(test.want, ErrTimeout) {
				timeout = 100 * time.Millisecond
			}
			client := newTestClient(t, ClientOptions{TokenEndpoint: test.url, TrustCA: test.trust, Timeout: timeout})
			_, err := client.Token(t.Context(), subjectForm())
			if !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

func hijack(t *testing.T, w http.ResponseWriter) {
	t.Helper()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_ = conn.Close()
}

// A caller that leaves is nobody's failure.
func TestTokenCanceled(t *testing.T) {
	release := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	server := endpoint(t, func(http.ResponseWriter, *http.Request) {
		cancel()
		<-release
	})
	t.Cleanup(func() { close(release) })
	_, err := clientOf(t, server).Token(ctx, subjectForm())
	if !errors.Is(err, context.Canceled) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

// Whatever a server repeats, no error holds it (attack row 32).
func TestTokenErrorsHoldNoSecret(t *testing.T) {
	echo := func(r *http.Request) string {
		return r.PostForm.Get("subject_token") + " " + r.PostForm.Get("client_secret")
	}
	handlers := map[string]http.HandlerFunc{
		"description": func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, 400, fmt.Sprintf(`{"error":"invalid_request","error_description":%q}`, echo(r)))
		},
		"code": func(w http.ResponseWriter, r *http.Request) { writeJSON(w, 400, fmt.Sprintf(`{"error":%q}`, echo(r))) },
		"page": func(w http.ResponseWriter, r *http.Request) { writeJSON(w, 200, echo(r)) },
		"location": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/?"+url.QueryEscape(echo(r)), http.StatusFound)
		},
		"member": func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, 200, fmt.Sprintf(`{%q:1,"token_type":2}`, echo(r)))
		},
		"broken status line": func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, echo(r)+"\r\n\r\n")
				_ = conn.Close()
			}
		},
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			server := endpoint(t, handler)
			client := newTestClient(t, ClientOptions{
				Auth: Post(NewSecret(testSecret)), TokenEndpoint: server.URL, TrustCA: trust(server),
			})
			_, err := client.Token(t.Context(), subjectForm())
			if err == nil {
				t.Fatal("no error")
			}
			if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "CANARY") {
				t.Errorf("a secret is in %q", text)
			}
		})
	}
}

func TestNewClientRefuses(t *testing.T) {
	server, err := NewServer(ServerOptions{Issuer: "https://idp.example"})
	if err != nil {
		t.Fatal(err)
	}
	good := Basic(NewSecret("x"))
	for name, options := range map[string]ClientOptions{
		"no id":              {Auth: good, TokenEndpoint: "https://idp.example/t"},
		"no auth":            {ID: "g", TokenEndpoint: "https://idp.example/t"},
		"no secret in basic": {ID: "g", Auth: Basic(Secret{}), TokenEndpoint: "https://idp.example/t"},
		"no secret in post":  {ID: "g", Auth: Post(Secret{}), TokenEndpoint: "https://idp.example/t"},
		"no place":           {ID: "g", Auth: good},
		"two places":         {ID: "g", Auth: good, TokenEndpoint: "https://idp.example/t", Server: server},
		"plain http":         {ID: "g", Auth: good, TokenEndpoint: "http://idp.example/t"},
		"no CA":              {ID: "g", Auth: good, TokenEndpoint: "https://idp.example/t", TrustCA: [][]byte{[]byte("x")}},
	} {
		if _, err := NewClient(options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Two clients have one identity only if a token of the one is a token of the
// other. A secret that rotates changes nothing.
func TestClientIdentity(t *testing.T) {
	base := ClientOptions{ID: "gateway", Auth: Basic(NewSecret("a")), TokenEndpoint: "https://idp.example/t"}
	rotated, post, other, elsewhere := base, base, base, base
	rotated.Auth = Basic(NewSecret("b"))
	post.Auth = Post(NewSecret("a"))
	other.ID = "other"
	elsewhere.TokenEndpoint = "https://idp.example/u"
	identity := newTestClient(t, base).Identity()
	if diff := cmp.Diff(identity, newTestClient(t, rotated).Identity()); diff != "" {
		t.Errorf("rotated: %s", diff)
	}
	for name, options := range map[string]ClientOptions{"post": post, "other": other, "elsewhere": elsewhere} {
		if cmp.Equal(identity, newTestClient(t, options).Identity()) {
			t.Errorf("%s: the same identity", name)
		}
	}
}
