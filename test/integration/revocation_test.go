package integration_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// revoke gives the gateway's admin endpoint an order to revoke.
func revoke(t *testing.T, gateway *harness.Gateway, order string) {
	t.Helper()
	answer, err := http.Post(gateway.Admin+"/gatehouse/revocations", "application/json", strings.NewReader(order))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("revoking: status %d", answer.StatusCode)
	}
}

func TestRevokedSubjectIsRefused(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	alice, bob := idp.Token(map[string]any{"sub": "alice"}), idp.Token(map[string]any{"sub": "bob"})
	gateway.Await("/orders/1", alice, http.StatusOK)
	gateway.Await("/orders/1", bob, http.StatusOK)

	revoke(t, gateway, `{"kind": "subject", "issuer": "`+idp.URL+`", "value": "alice", "reason": "left"}`)
	gateway.Get("/orders/1", alice).Expect(t, http.StatusUnauthorized)
	gateway.Get("/other", alice).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", bob).Expect(t, http.StatusOK)
}

// revokeSubject revokes all of a subject's tokens, and returns when it was asked to.
func revokeSubject(t *testing.T, gateway *harness.Gateway, idp *harness.AuthServer, subject string) time.Time {
	t.Helper()
	at := time.Now()
	revoke(t, gateway, `{"kind": "subject", "issuer": "`+idp.URL+`", "value": "`+subject+`"}`)
	return at
}

// streamEnd is how long a stream may outlive its token's revocation.
const streamEnd = 5 * time.Second

func endedInTime(t *testing.T, since time.Time) {
	t.Helper()
	if took := time.Since(since); took > streamEnd {
		t.Errorf("it went on for %v", took)
	}
}

// Whatever lasts ends when the token is revoked, on every version of HTTP, at the
// caller and at the upstream; another subject's goes on.
func TestStreamsEndWithRevocation(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	other := open(t, new(http.Transport), s.URL+"/events?other", s.idp.Token(map[string]any{"sub": "other"}))
	for name, way := range s.transports(t) {
		for _, path := range []string{"/events", "/download"} {
			id := path[1:] + "-" + strings.ReplaceAll(name, "/", "-")
			t.Run(id, func(t *testing.T) {
				token := s.idp.Token(map[string]any{"sub": id})
				answer := open(t, way, way.url+path+"?"+id, token)
				if _, err := io.ReadFull(answer.Body, make([]byte, len("data: one\n\n"))); err != nil {
					t.Fatal(err)
				}
				at := revokeSubject(t, s.Gateway, s.idp, id)
				if rest, err := io.ReadAll(answer.Body); err == nil || strings.Contains(string(rest), "two") {
					t.Errorf("then came %d bytes, %v; want an error", len(rest), err)
				}
				s.awaitGone(t, id)
				endedInTime(t, at)
				s.Get("/short", token).Expect(t, http.StatusUnauthorized)
			})
		}
	}
	if _, gone := s.gone.Load("other"); gone {
		t.Error("another subject's stream ended too")
	}
	close(s.more)
	if rest, err := io.ReadAll(other.Body); err != nil || string(rest) != "data: one\n\ndata: two\n\n" {
		t.Errorf("on it came %q, %v", rest, err)
	}
}

// A WebSocket ends, whether it is silent or busy.
func TestWebSocketEndsWithRevocation(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	for name, busy := range map[string]bool{"silent": false, "busy": true} {
		t.Run(name, func(t *testing.T) {
			token := s.idp.Token(map[string]any{"sub": name})
			socket, answer := s.Upgrade("/ws?"+name, token)
			if socket == nil {
				t.Fatalf("status %d", answer.StatusCode)
			}
			defer socket.Close()
			if err := socket.Send("hello"); err != nil {
				t.Fatal(err)
			}
			if text, err := socket.Receive(); text != "hello" {
				t.Fatalf("%q came back, %v", text, err)
			}
			at := revokeSubject(t, s.Gateway, s.idp, name)
			var err error
			for busy && err == nil && time.Since(at) < 2*streamEnd {
				if err = socket.Send("more"); err == nil {
					_, err = socket.Receive()
				}
			}
			if text, err := socket.Receive(); err == nil {
				t.Errorf("%q came", text)
			}
			s.awaitGone(t, name)
			endedInTime(t, at)
		})
	}
}

func TestWebSocketOverHTTP3EndsWithRevocation(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	way := s.transports(t)["HTTP/3"]
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, way.url+"/ws?ws", reader)
	if err != nil {
		t.Fatal(err)
	}
	request.Proto = "websocket"
	request.Header.Set("Authorization", "Bearer "+s.idp.Token(map[string]any{"sub": "three"}))
	request.Header.Set("Sec-WebSocket-Version", "13")
	answer, err := way.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	at := revokeSubject(t, s.Gateway, s.idp, "three")
	if _, err := answer.Body.Read(make([]byte, 1)); err == nil {
		t.Error("something came")
	}
	s.awaitGone(t, "ws")
	endedInTime(t, at)
}

// streams keep: what has begun goes on, and nothing new begins.
func TestStreamsKeepOutlivesRevocation(t *testing.T) {
	t.Parallel()
	s := startStreams(t)
	token := s.idp.Token(map[string]any{"sub": "kept"})
	events := open(t, new(http.Transport), s.keep+"/events", token)
	revokeSubject(t, s.Gateway, s.idp, "kept")
	s.Get("/short", token).Expect(t, http.StatusUnauthorized)
	close(s.more)
	if got, err := io.ReadAll(events.Body); err != nil || string(got) != "data: one\n\ndata: two\n\n" {
		t.Errorf("came %q, %v", got, err)
	}
}

// A reload keeps the list.
func TestRevocationsOutliveReload(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	alice := idp.Token(map[string]any{"sub": "alice"})
	gateway.Await("/orders/1", alice, http.StatusOK)
	revokeSubject(t, gateway, idp, "alice")
	for round := range 3 {
		next := strings.Replace(mainJob, "gatehouse {", "gatehouse {\n\t\ttoken_cache "+strconv.Itoa(1000+round)+" 1MiB", 1)
		if err := gateway.Reload(next); err != nil {
			t.Fatal(err)
		}
		gateway.Get("/orders/1", alice).Expect(t, http.StatusUnauthorized)
		gateway.Get("/orders/1", idp.Token(map[string]any{"sub": "bob"})).Expect(t, http.StatusOK)
	}
}

// Metrics tell how many revocations there are and how old the list is, and a Caddy
// event tells of each.
func TestRevocationIsTold(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, strings.Replace(mainJob, "{\n", "{\n\tdebug\n\tmetrics\n", 1), "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	gateway.Await("/orders/1", idp.Token(nil), http.StatusOK)
	revokeSubject(t, gateway, idp, "alice")
	metrics := gateway.Metrics()
	for _, want := range []string{
		`caddy_gatehouse_revocations{kind="subject"} 1`, `caddy_gatehouse_revocations{kind="jti"} 0`,
		"caddy_gatehouse_revocation_loaded 1", "caddy_gatehouse_revocations_undecodable_total 0", "caddy_gatehouse_revocation_lag_seconds ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s:\n%s", want, metrics)
		}
	}
	if strings.Contains(metrics, "alice") {
		t.Error("the metrics name the subject")
	}
	harness.Eventually(t, "an event tells of it", func() bool { return events(gateway, "token_revoked") == 1 })
}

// A subject that logs in again passes: the revocation is about the tokens of before.
func TestRevokedBefore(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	at := time.Now().Add(-time.Minute).UTC()
	before := idp.Token(map[string]any{"iat": at.Unix()})
	after := idp.Token(map[string]any{"iat": at.Add(2 * time.Second).Unix()})
	gateway.Await("/orders/1", before, http.StatusOK)
	revoke(t, gateway, `{"kind": "subject", "issuer": "`+idp.URL+`", "value": "alice", "before": "`+at.Add(time.Second).Format(time.RFC3339)+`"}`)
	gateway.Get("/orders/1", before).Expect(t, http.StatusUnauthorized)
	gateway.Get("/orders/1", after).Expect(t, http.StatusOK)
}
