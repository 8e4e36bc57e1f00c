package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// introspected is a site whose issuer can be asked about its tokens, and one
// whose cannot.
const introspected = `{
	gatehouse {
		issuer main $IDP {
			audience any
			introspection $IDP/introspect {
				client gateway
			}
		}
		issuer mute $IDP/mute {
			audience any
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange orders {
			client gateway
			subject_issuer main mute
			audience orders
		}
	}
}
$SITE {
	token_auth main mute
	handle /orders {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	respond in
}
`

// A refusal that may be about the caller or about the configuration: the exchange
// works for others, so it is about the caller, and its issuer tells a session that
// is over (401) from a right that is missing (403). Where nobody can be asked it
// is 403, which no client answers with another login.
func TestExchangeAmbiguousRefusal(t *testing.T) {
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	openID(idp, "/mute")
	var active, asked atomic.Int32
	idp.Handle("/introspect", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if id, secret, _ := r.BasicAuth(); id != harness.ClientID || secret != harness.ClientSecret {
			t.Errorf("%q asks", id)
		}
		if active.Load() == 0 {
			_ = json.NewEncoder(w).Encode(map[string]any{"active": false})
			return
		}
		_ = json.NewEncoder(w).Encode(merge(harness.Claims(t, r.PostFormValue("token")), map[string]any{"active": true, "client_id": "web"}))
	})
	gateway := harness.Start(t, introspected, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/orders", idp.Token(nil), http.StatusOK)
	gateway.Await("/", idp.Token(map[string]any{"iss": idp.URL + "/mute"}), http.StatusOK)
	reached := len(upstream.Received())
	for name, test := range map[string]struct {
		issuer string
		active int32
		asked  int32
		want   expected
	}{
		"the session is over":  {"", 0, 1, toldRejected},
		"the right is missing": {"", 1, 1, toldDenied},
		"nobody can be asked":  {"/mute", 0, 0, toldDenied},
	} {
		t.Run(name, func(t *testing.T) {
			idp.Answer(nil)
			gateway.Get("/orders", idp.Token(map[string]any{"jti": "good " + name})).Expect(t, http.StatusOK)
			reached = len(upstream.Received())
			idp.Answer(func(form url.Values, w http.ResponseWriter) { refusalWith(400, "invalid_request")(form, w) })
			active.Store(test.active)
			asked.Store(0)
			token := idp.Token(map[string]any{"iss": idp.URL + test.issuer, "jti": name})
			got := gateway.Get("/orders", token)
			if got.Status != test.want.status || problemOf(t, got)["error"] != test.want.code {
				t.Errorf("%d %s, want %d %s", got.Status, got.Body, test.want.status, test.want.code)
			}
			if challenge := got.Header.Get("WWW-Authenticate"); challenge != test.want.challenge {
				t.Errorf("challenge %q", challenge)
			}
			if n := asked.Load(); n != test.asked {
				t.Errorf("the issuer was asked %d times", n)
			}
			if n := len(upstream.Received()) - reached; n != 0 {
				t.Errorf("%d requests reached the upstream", n)
			}
			expectNowhere(t, gateway, upstream, got, token)
		})
	}
}

// The rows of the table of failures that need no bad answer of the server, or that
// concern what other tests do not name. Whatever fails, fails closed: nothing
// reaches the upstream, and no token of a caller ever did.
func TestExchangeFailsClosed(t *testing.T) {
	site := exchangesSite(t, map[string]string{
		"orders": "audience orders",
		"twice":  "audience first\nrequested_type jwt\nthen {\ngrant jwt_bearer\nclient other\naudience second\n}",
	})
	past := time.Now().Add(-5 * time.Second).Unix()
	good := func(form url.Values, w http.ResponseWriter) {
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, nil))
	}
	second := func(answer func(url.Values, http.ResponseWriter)) func(url.Values, http.ResponseWriter) {
		return func(form url.Values, w http.ResponseWriter) {
			if form.Get("grant_type") == jwtBearerGrant {
				answer(form, w)
				return
			}
			_ = json.NewEncoder(w).Encode(site.idp.Issued(form, map[string]any{"issued_token_type": jwtType, "token_type": "N_A"}))
		}
	}
	rows := []struct {
		name, path string
		token      string
		answer     func(url.Values, http.ResponseWriter)
		status     int
		code       string
		calls      int
	}{
		{"no token", "/orders", "", good, 401, "", 0},
		{"a token that is not good", "/orders", site.idp.Token(map[string]any{"jti": "b"}) + "x", good, 401, "invalid_token", 0},
		{"past exp, within the leeway", "/orders", site.idp.Token(map[string]any{"exp": past}), good, 401, "invalid_token", 0},
		{"bound to a key, no proof", "/orders", site.idp.Token(map[string]any{"cnf": map[string]any{"jkt": strings.Repeat("x", 43)}}), good, 401, "", 0},
		{"consent is missing", "/orders", site.idp.Token(map[string]any{"jti": "c"}), refusalWith(400, "consent_required"), 403, "access_denied", 1},
		{"leg 2: subject refused", "/twice", site.idp.Token(map[string]any{"jti": "2a"}), second(refusalWith(400, "invalid_grant")), 502, "", 2},
		{"leg 2: client refused", "/twice", site.idp.Token(map[string]any{"jti": "2b"}), second(refusalWith(401, "invalid_client")), 502, "exchange_misconfigured", 2},
		{"leg 2: bad answer", "/twice", site.idp.Token(map[string]any{"jti": "2c"}), second(text("{}")), 502, "server_error", 2},
		{"leg 2: down", "/twice", site.idp.Token(map[string]any{"jti": "2d"}), second(bare(503, "Retry-After", "1")), 503, "temporarily_unavailable", 2},
	}
	reached := len(site.upstream.Received())
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			site.idp.Answer(row.answer)
			before := len(site.idp.Forms())
			got := site.Get(row.path, row.token).Expect(t, row.status)
			if code, _ := problemOf(t, got)["error"].(string); row.code != "" && code != row.code {
				t.Errorf("code %q, want %q", code, row.code)
			}
			if n := len(site.newForms(before)); n < row.calls || (row.calls == 0 && n != 0) {
				t.Errorf("%d calls, want %d", n, row.calls)
			}
			if n := len(site.upstream.Received()) - reached; n != 0 {
				t.Errorf("%d requests reached the upstream", n)
			}
			if row.token != "" {
				expectNowhere(t, site.Gateway, site.upstream, got, row.token)
			}
		})
	}
}

// More calls than one server may have at a time and in waiting: 503 at once.
func TestExchangeQueueIsFull(t *testing.T) {
	const client = "\t\tclient gateway {\n" // which waits until a slow machine has sent them all
	site := exchangesSite(t, map[string]string{"orders": "audience orders\ncache_entries off"}, client, client+"\t\t\ttimeout 60s\n")
	release := make(chan struct{})
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		<-release
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, nil))
	})
	var refused, other atomic.Int32
	var waiting sync.WaitGroup
	var once sync.Once
	const callers = 400
	tokens := make([]string, callers)
	for i := range tokens {
		tokens[i] = site.idp.Token(map[string]any{"jti": fmt.Sprint("full", i)})
	}
	for _, token := range tokens {
		waiting.Go(func() {
			got := site.Get("/orders", token)
			switch {
			case got.Status == http.StatusServiceUnavailable && got.Header.Get("Retry-After") == "1":
				refused.Add(1)
				once.Do(func() { close(release) }) // the first one is told while all others hang
			case got.Status != http.StatusOK:
				other.Add(1)
			}
		})
	}
	waiting.Wait()
	if refused.Load() == 0 || other.Load() != 0 {
		t.Errorf("%d of %d were told to come back, %d something else", refused.Load(), callers, other.Load())
	}
	for i, got := range site.upstream.Received() {
		for _, token := range tokens[:10] {
			if got.Holds(token) {
				t.Errorf("request %d holds a caller's token", i)
			}
		}
	}
}

// A thousand ask at once for the same thing, and who asked first goes away: the call
// goes on for those who wait, and they notice nothing. When all are gone nothing
// reaches the upstream.
func TestExchangeLeaderHangsUp(t *testing.T) {
	site := exchangesSite(t, map[string]string{"orders": "audience orders"})
	release, asked := make(chan struct{}), make(chan struct{}, 10)
	site.idp.Answer(func(form url.Values, w http.ResponseWriter) {
		asked <- struct{}{}
		<-release
		_ = json.NewEncoder(w).Encode(site.idp.Issued(form, nil))
	})
	token := site.idp.Token(map[string]any{"jti": "leader"})
	ctx, hangUp := context.WithCancel(t.Context())
	left := make(chan error, 1)
	reached := len(site.upstream.Received())
	go func() {
		answer, err := http.DefaultTransport.RoundTrip(site.Request(http.MethodGet, "/orders", token).WithContext(ctx))
		if err == nil {
			_ = answer.Body.Close()
		}
		left <- err
	}()
	<-asked
	var followers sync.WaitGroup
	const staying = 999
	written := make(chan struct{}, staying)
	for range staying {
		followers.Go(func() {
			request := site.Request(http.MethodGet, "/orders", token)
			request = request.WithContext(onWritten(request.Context(), func() { written <- struct{}{} }))
			site.Do(request).Expect(t, http.StatusOK)
		})
	}
	for range staying {
		<-written
	}
	hangUp()
	if err := <-left; err == nil {
		t.Error("the leader got an answer")
	}
	close(release)
	followers.Wait()
	if n := len(site.idp.Forms()); n != 1 {
		t.Errorf("%d calls, want one", n)
	}
	if n := len(site.upstream.Received()) - reached; n != staying {
		t.Errorf("%d requests reached the upstream, want those of all who stayed", n)
	}
}

// onWritten has a function called once a request was sent.
func onWritten(ctx context.Context, sent func()) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { sent() }})
}
