package introspection

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// The example of RFC 7662, section 2.2, but for its times, which have passed.
func TestRFC7662Example(t *testing.T) {
	r := newRig(t, nil)
	r.answers(raw("application/json", `{
      "active": true,
      "client_id": "l238j323ds-23ij4",
      "username": "jdoe",
      "scope": "read write dolphin",
      "sub": "Z5O3upPC88QrAjx00dis",
      "aud": "https://protected.example.net/resource",
      "iss": "`+r.issuer.URL+`",
      "exp": 4102444800,
      "iat": 1419350238,
      "extension_field": "twenty-seven"
     }`))
	got, err := r.ask(t, goodToken)
	if err != nil {
		t.Fatal(err)
	}
	want := &token.Token{
		Issuer: r.issuer.URL, Subject: "Z5O3upPC88QrAjx00dis", Client: "l238j323ds-23ij4",
		Audience: []string{"https://protected.example.net/resource"}, Scopes: []string{"read", "write", "dolphin"},
		Expiry: time.Unix(4102444800, 0), IssuedAt: time.Unix(1419350238, 0), Digest: token.NewRaw(goodToken).Digest(), Essence: token.NewRaw(goodToken).Essence(),
	}
	ignore := cmpopts.IgnoreFields(token.Token{}, "Claims", "Said")
	if diff := cmp.Diff(want, got, ignore, cmpopts.IgnoreUnexported(token.Token{})); diff != "" {
		t.Error(diff)
	}
	if extra := got.Claims.Texts("extension_field"); len(extra) != 1 {
		t.Errorf("the claims are %v", got.Claims)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forms[0].Get("token") != goodToken || r.accepts[0] != "application/json" {
		t.Errorf("asked %v, accept %v", r.forms, r.accepts)
	}
}

// What is not a plain yes is no token, and what is not a plain no is not the
// token's fault (attack row 35).
func TestAnswers(t *testing.T) {
	const down, inactive = token.IntrospectionUnavailable, token.Inactive
	r := newRig(t, nil)
	tests := map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"no exp":             {r.active(map[string]any{"exp": nil}), nil},
		"no iss":             {r.active(map[string]any{"iss": nil}), nil},
		"not active":         {raw("application/json", `{"active":false}`), inactive},
		"not active, lying":  {r.active(map[string]any{"active": false}), inactive},
		"active in quotes":   {r.active(map[string]any{"active": "true"}), down},
		"active is one":      {r.active(map[string]any{"active": 1}), down},
		"active is null":     {raw("application/json", `{"active":null}`), down},
		"no active":          {r.active(map[string]any{"active": nil}), down},
		"active twice":       {raw("application/json", `{"active":false,"active":true}`), down},
		"another issuer":     {r.active(map[string]any{"iss": "https://other.example"}), token.UnknownIssuer},
		"iss is a list":      {r.active(map[string]any{"iss": []string{r.issuer.URL}}), token.BadClaim},
		"iss is empty":       {r.active(map[string]any{"iss": ""}), token.UnknownIssuer},
		"exp is a text":      {r.active(map[string]any{"exp": "4102444800"}), token.BadClaim},
		"sub is a number":    {r.active(map[string]any{"sub": 7}), token.BadClaim},
		"a plain token":      {r.active(map[string]any{"token_type": "bearer"}), nil},
		"DPoP, no key":       {r.active(map[string]any{"token_type": "dpop"}), token.BadClaim},
		"DPoP, certificate":  {r.active(map[string]any{"token_type": "DPoP", "cnf": map[string]any{"x5t#S256": strings.Repeat("A", 42) + "E"}}), token.BadClaim},
		"DPoP, with its key": {r.active(map[string]any{"token_type": "DPoP", "cnf": map[string]any{"jkt": strings.Repeat("A", 42) + "E"}}), nil},
		"PoP, no key":        {r.active(map[string]any{"token_type": "PoP"}), token.BadClaim},
		"type is a number":   {r.active(map[string]any{"token_type": 5}), token.BadClaim},
		"a list":             {raw("application/json", `[{"active":true}]`), down},
		"a page":             {raw("text/html", `<html>active</html>`), down},
		"nothing":            {raw("application/json", ``), down},
		"text behind":        {raw("application/json", `{"active":true} x`), down},
		"huge":               {raw("application/json", `{"active":true,"x":"`+strings.Repeat("x", 64<<10)+`"}`), down},
		"created":            {status(201, `{"active":true}`), down},
		"401":                {status(401, `{"error":"invalid_client"}`), down},
		"400":                {status(400, `{"error":"invalid_request"}`), down},
		"403":                {status(403, ``), down},
		"429":                {status(429, ``), down},
		"500":                {status(500, `{"active":true}`), down},
		"unsigned, unwanted": {r.signed(r.key, nil, nil), down},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			fresh := newRig(t, func(c *Config) { c.Issuer = r.issuer.URL })
			fresh.answers(test.answer)
			found, err := fresh.ask(t, goodToken)
			if (err == nil) == (found == nil) || !errors.Is(err, test.want) {
				t.Fatalf("found %v, error %v", found, err)
			}
			var failure *Error
			if errors.As(err, &failure) && (failure.RetryAfter > 0) != errors.Is(test.want, down) {
				t.Errorf("retry after %v", failure.RetryAfter)
			}
			if err == nil && (found.Issuer != r.issuer.URL || found.Expiry.IsZero()) {
				t.Errorf("issuer %q, expiry %v", found.Issuer, found.Expiry)
			}
			if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, failure), "CANARY") {
				t.Errorf("a secret in %v", err)
			}
		})
	}
}

// A redirect would show the token to another host (attack row 33).
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := newRig(t, nil)
	for _, code := range []int{301, 302, 307, 308} {
		r := newRig(t, nil)
		r.answers(http.RedirectHandler(elsewhere.issuer.URL+"/introspect", code).ServeHTTP)
		if _, err := r.ask(t, goodToken); !errors.Is(err, token.IntrospectionUnavailable) {
			t.Errorf("%d: %v", code, err)
		}
	}
	if elsewhere.calls() != 0 || elsewhere.issuer.Hits("/introspect") != 0 {
		t.Error("the token went elsewhere")
	}
}

// A server that answers 400 to texts it cannot read gives nobody a 503, once it
// has shown that it understands the question.
func TestRefusalAfterAnAnswer(t *testing.T) {
	r := newRig(t, nil)
	if _, err := r.ask(t, goodToken); err != nil {
		t.Fatal(err)
	}
	r.answers(status(400, `{"error":"invalid_token"}`))
	if _, err := r.ask(t, "gibberish"); !errors.Is(err, token.Inactive) {
		t.Error(err)
	}
	// A text may be longer than the server takes, or of another form.
	for _, code := range []int{413, 422} {
		r.answers(status(code, "<html>"))
		if _, err := r.ask(t, fmt.Sprint("gibberish-", code)); !errors.Is(err, token.Inactive) {
			t.Error(err)
		}
	}
	for _, code := range []int{401, 403, 404, 405, 415, 429} {
		r.answers(status(code, "<html>"))
		if _, err := r.ask(t, fmt.Sprint("other-", code)); !errors.Is(err, token.IntrospectionUnavailable) {
			t.Error(err)
		}
	}
	r.answers(status(400, `{"error":"unauthorized_client"}`))
	if _, err := r.ask(t, "other"); !errors.Is(err, token.IntrospectionUnavailable) {
		t.Error(err)
	}
	// What one server understood says nothing about another, in whose memory it is.
	second := newRig(t, nil)
	second.state = r.state
	second.Introspector = second.introspector(t, nil)
	second.answers(status(400, `{"error":"invalid_token"}`))
	if _, err := second.ask(t, "gibberish"); !errors.Is(err, token.IntrospectionUnavailable) {
		t.Error(err)
	}
}

func TestTextsThatAreNoTokensAreNotSent(t *testing.T) {
	r := newRig(t, nil)
	for _, text := range []string{"", "a b", "a\nb", "ä", "\x00"} {
		if _, err := r.ask(t, text); !errors.Is(err, token.Inactive) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if r.calls() != 0 {
		t.Error("one was sent")
	}
}

// A slowClient takes its time in fake time.
type slowClient struct {
	Requester

	calls atomic.Int32
	takes time.Duration
}

func (c *slowClient) Post(ctx context.Context, _ authserver.Endpoint, _ url.Values, _ string) (*authserver.Answer, error) {
	c.calls.Add(1)
	select {
	case <-time.After(c.takes):
		return answerOf([]byte(`{"active":true,"sub":"alice"}`), "application/json"), nil
	case <-ctx.Done():
		return nil, authserver.ErrTimeout
	}
}

func (*slowClient) Identity() []string     { return nil }
func (*slowClient) Timeout() time.Duration { return 3 * time.Second }

// One call serves all who ask at once, and whoever goes away goes alone.
func TestOneCallForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &slowClient{takes: time.Second}
		i := slowIntrospector(t, client)
		first, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := i.Introspect(first, token.NewRaw(goodToken), nil)
			left <- err
		}()
		synctest.Wait()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if found, err := i.Introspect(t.Context(), token.NewRaw(goodToken), nil); err != nil || found.Subject != "alice" {
					t.Errorf("%v, %v", found, err)
				}
			})
		}
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v", err)
		}
		all.Wait()
		if client.calls.Load() != 1 {
			t.Errorf("%d calls", client.calls.Load())
		}
	})
}

// A server that hangs keeps nobody longer than the client's time.
func TestHangingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := slowIntrospector(t, &slowClient{takes: time.Hour})
		begin := time.Now()
		_, err := i.Introspect(t.Context(), token.NewRaw(goodToken), nil)
		if !errors.Is(err, token.IntrospectionUnavailable) || time.Since(begin) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func slowIntrospector(t *testing.T, client *slowClient) *Introspector {
	t.Helper()
	state := NewState(10, 1<<20)
	t.Cleanup(state.Close)
	i, err := New(Config{Issuer: "https://idp.example", Client: client, State: state, CacheTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// FuzzAnswer: whatever a server answers, there is no panic, and only a boolean
// yes of the right issuer is a token.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"active":true}`, `{"active":"true"}`, `{"active":false,"active":true}`, `{"active":true,"iss":"x","exp":1e9}`,
		`[`, `{"active":true,"aud":[1]}`, `{"active":true,"act":{"sub":"a"},"scope":["a"]}`, "{\"active\":true,\"sub\":\"\xff\"}",
	} {
		f.Add([]byte(seed), "application/json")
		f.Add([]byte("eyJhbGciOiJFUzI1NiJ9.e30.AA"), mediaSigned)
	}
	f.Fuzz(func(t *testing.T, body []byte, media string) {
		state := NewState(1, 1)
		defer state.Close()
		i := &Introspector{config: Config{Issuer: "https://idp.example", State: state, Now: time.Now}}
		found, err := i.read(t.Context(), answerOf(body, media), question{})
		switch {
		case (found == nil) == (err == nil):
			t.Errorf("token %v, error %v", found, err)
		case err != nil:
			if failure, ok := errors.AsType[*Error](err); !ok || failure.refuses() == (failure.RetryAfter > 0) {
				t.Errorf("error %v", err)
			}
		case found.Issuer != "https://idp.example", found.Expiry.IsZero():
			t.Errorf("%+v", found)
		default:
			if active, _ := found.Claims.Get("active"); active != true {
				t.Errorf("active is %v", active)
			}
		}
	})
}
