package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

var toldNonce = expected{
	status: 503, code: "temporarily_unavailable", retryAfter: "1",
	text: "The service behind the gateway asked for a newer proof: send the request again.",
}

const wantsNonce = "exchanging token: upstream_nonce: the upstream asked for a new DPoP nonce, and the request cannot be sent again"

// A nonceSite is a gateway with a bound token, before an upstream that wants the nonce
// that is current when it judges a request.
type nonceSite struct {
	*harness.Gateway

	token string
	calls func() int // to the authorization server, so far

	mu       sync.Mutex
	current  string
	restive  bool           // it offers another nonce each time, and is content with none
	together sync.WaitGroup // whom it waits for before it asks for a nonce
	arrived  int
}

func newNonceSite(t *testing.T) *nonceSite {
	t.Helper()
	idp, upstream, judge := harness.NewAuthServer(t), harness.NewUpstream(t), newJudge(t)
	site := &nonceSite{token: idp.Token(nil), current: "a"}
	tokens, calls := judge.tokens(idp, nil), 0
	idp.Handle("/bound-token", func(w http.ResponseWriter, r *http.Request) {
		site.mu.Lock()
		calls++
		site.mu.Unlock()
		tokens(w, r)
	})
	site.calls = func() int {
		site.mu.Lock()
		defer site.mu.Unlock()
		return calls
	}
	upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		if want := site.wants(nonceIn(t, r)); want != "" {
			w.Header().Set("DPoP-Nonce", want)
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		judge.upstream(w, r)
	})
	site.together.Add(1)
	site.Gateway = harness.Start(t, boundExchange, "$IDP", idp.URL, "$FIRST", upstream.Address, "$SECOND", upstream.Address)
	site.Await("/first", site.token, http.StatusOK)
	return site
}

// wants returns the nonce that a request lacks, "" if it has it.
func (s *nonceSite) wants(has any) string {
	s.mu.Lock()
	s.arrived++
	if s.restive {
		s.current += "a"
	}
	current, restive := s.current, s.restive
	s.mu.Unlock()
	if has == current && !restive {
		return ""
	}
	if !restive {
		s.together.Done()
		s.together.Wait()
	}
	return current
}

// rotate makes another nonce the current one, which so many requests at once will lack.
func (s *nonceSite) rotate(nonce string, lack int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.restive, s.arrived = nonce, nonce == "", 0
	s.together.Add(lack)
}

func (s *nonceSite) send(method, body string) harness.Answer {
	request := s.Request(method, "/orders", s.token)
	if body != "" {
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	return s.Do(request)
}

// expectKept fails unless the token serves on, and the audit trail and the metrics say
// what happened to so many requests.
func (s *nonceSite) expectKept(t *testing.T, calls, refused int) {
	t.Helper()
	if got := s.calls(); got != calls {
		t.Errorf("%d calls to the authorization server, want %d: a nonce is no word about the token", got, calls)
	}
	var said []map[string]any
	harness.Eventually(t, "the audit trail has a line for each refusal", func() bool {
		said = slices.DeleteFunc(s.Audit(), func(line map[string]any) bool { return line["rule"] != "upstream_nonce" })
		return len(said) == refused
	})
	for _, line := range said {
		if line["status"] != 503.0 || line["reason"] != wantsNonce {
			t.Errorf("the audit trail says %v", line)
		}
	}
	counted := fmt.Sprintf(`caddy_gatehouse_exchanges_total{exchange="orders",outcome="upstream_nonce"} %d`, refused)
	if metrics := s.Metrics(); refused > 0 && !strings.Contains(metrics, counted) || strings.Contains(metrics, "upstream_refused") {
		t.Errorf("the metrics lack %s, or count a refusal of the token", counted)
	}
}

// RFC 9449, section 9: an upstream that changes its nonce has not refused the token. A
// body cannot be sent again, so that the caller sends it, with the token that was there.
func TestBindDPoPNonceMeetsABody(t *testing.T) {
	t.Parallel()
	site := newNonceSite(t)
	calls := site.calls()
	for i, nonce := range []string{"b", "c"} {
		site.rotate(nonce, 1)
		toldNonce.expect(t, site.send(http.MethodPost, "canary-body"), false, http.MethodPost)
		site.send(http.MethodPost, "canary-body").Expect(t, http.StatusOK)
		site.expectKept(t, calls, i+1)
	}
}

// An upstream that is content with no nonce is asked twice and no more.
func TestBindDPoPNonceIsNeverEnough(t *testing.T) {
	t.Parallel()
	site := newNonceSite(t)
	calls := site.calls()
	site.rotate("", 0)
	toldNonce.expect(t, site.send(http.MethodGet, ""), false, http.MethodGet)
	if site.arrived != 2 {
		t.Errorf("%d requests upstream, want 2", site.arrived)
	}
	site.expectKept(t, calls, 1)
	site.rotate("b", 1)
	site.send(http.MethodGet, "").Expect(t, http.StatusOK)
	site.expectKept(t, calls, 1)
}

// Of those who meet a new nonce at once only one is told something new. The others are
// sent again all the same, and their token is kept.
func TestBindDPoPNonceMeetsManyAtOnce(t *testing.T) {
	t.Parallel()
	const many = 4
	site := newNonceSite(t)
	calls := site.calls()
	site.rotate("b", many)
	answers := make(chan harness.Answer)
	for range many {
		go func() { answers <- site.send(http.MethodGet, "") }()
	}
	for range many {
		(<-answers).Expect(t, http.StatusOK)
	}
	site.expectKept(t, calls, 0)
}
