package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record returns the lines that events leave in a log of that level.
func record(t *testing.T, level slog.Level, events ...audit.Event) []map[string]any {
	t.Helper()
	var log bytes.Buffer
	trail := audit.NewTrail(slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: level})))
	for _, event := range events {
		trail.Record(t.Context(), event)
	}
	var lines []map[string]any
	for text := range strings.Lines(log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		delete(line, "time")
		lines = append(lines, line)
	}
	return lines
}

func TestRecordWritesEveryField(t *testing.T) {
	got := record(t, slog.LevelInfo, audit.Event{
		Outcome: audit.Denied, Directive: "token_exchange", Place: "Caddyfile:7", Method: "GET", Host: "api.example.com", Path: "/orders",
		RequestID: "request-1", RemoteIP: "192.0.2.1", Fingerprint: "fp", Rule: "policy_denied", Reason: "because", Status: 403,
		Exchange: "orders", Audience: []string{"orders", "https://orders.example.com"}, Scope: []string{"a", "b"}, ServerError: "access_denied",
		ServerStatus: 400, Server: "idp.example.com", ServerClient: "gateway", Leg: 2, ActDepth: 3, Duration: 1500 * time.Millisecond,
		Granted: []string{"a"}, IssuedID: "jti-2",
		Token: &token.Token{
			Subject: "alice", Client: "app", Issuer: "https://issuer.example.com", Actor: "robot", ID: "jti-1",
			Audience: []string{"one", "two"}, Scopes: []string{"c", "d"},
		},
	})
	want := []map[string]any{{
		"level": "INFO", "msg": "denied", "directive": "token_exchange", "place": "Caddyfile:7",
		"method": "GET", "host": "api.example.com", "path": "/orders", "request_id": "request-1", "remote_ip": "192.0.2.1",
		"token": "fp", "rule": "policy_denied", "reason": "because", "status": 403.,
		"exchange": "orders", "target_audience": "orders https://orders.example.com", "asked_scope": "a b", "server_error": "access_denied",
		"server_status": 400., "server": "idp.example.com", "server_client": "gateway", "leg": 2., "act_depth": 3., "duration": 1.5,
		"granted_scope": "a", "issued_jti": "jti-2",
		"subject": "alice", "client": "app", "issuer": "https://issuer.example.com", "actor": "robot", "jti": "jti-1",
		"audience": "one two", "scope": "c d",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the line (-want +got):\n%s", diff)
	}
}

// A fault of the gateway brings along where it lies, in lines that are for whoever mends it.
func TestRecordWritesOneLineOfAReason(t *testing.T) {
	got := record(t, slog.LevelInfo, audit.Event{Outcome: audit.Denied, Reason: "a fault: panic: nil\ngoroutine 1\n\tmain.go:1"})
	if diff := cmp.Diff([]map[string]any{{"level": "INFO", "msg": "denied", "reason": "a fault: panic: nil"}}, got); diff != "" {
		t.Errorf("the trail (-want +got):\n%s", diff)
	}
}

func TestRecordLeavesOutWhatIsEmpty(t *testing.T) {
	got := record(t, slog.LevelDebug, audit.Event{Outcome: audit.Granted, Token: &token.Token{Subject: "alice"}})
	want := []map[string]any{{"level": "DEBUG", "msg": "granted", "subject": "alice"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the line (-want +got):\n%s", diff)
	}
}

func TestGrantsAreForDebugOnly(t *testing.T) {
	events := []audit.Event{{Outcome: audit.Granted}, {Outcome: audit.Denied}, {Outcome: audit.Shadowed}}
	for level, want := range map[slog.Level]int{slog.LevelDebug: 3, slog.LevelInfo: 2, slog.LevelWarn: 0} {
		if got := record(t, level, events...); len(got) != want {
			t.Errorf("at %s %d lines, want %d", level, len(got), want)
		}
		trail := audit.NewTrail(slog.New(slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: level})))
		if got := trail.Wants(context.Background(), audit.Granted); got != (want == 3) {
			t.Errorf("at %s it wants grants: %t", level, got)
		}
	}
}

func TestNoTrail(t *testing.T) {
	var none *audit.Trail
	for _, trail := range []*audit.Trail{none, new(audit.Trail)} {
		if trail.Wants(t.Context(), audit.Denied) {
			t.Error("a trail to nowhere wants events")
		}
		trail.Record(t.Context(), audit.Event{Outcome: audit.Denied})
	}
}
