package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/audit"
)

func TestSignalledWritesEveryField(t *testing.T) {
	signal := audit.Signal{
		Endpoint: "shared_signals", Place: "Caddyfile:7", RemoteIP: "192.0.2.1", RequestID: "request-1",
		Issuer: "https://idp.example.com", ID: "jti-1", Events: []string{"session-revoked", "other"},
		Revoked: []string{"subject alice", "session s1"}, Revocations: []string{"r1", "r2"}, Outcome: "revoked",
	}
	want := map[string]any{
		"level": "INFO", "msg": "signalled", "directive": "token_events", "place": "Caddyfile:7", "endpoint": "shared_signals",
		"remote_ip": "192.0.2.1", "request_id": "request-1", "issuer": "https://idp.example.com", "jti": "jti-1",
		"events": "session-revoked other", "rule": "revoked", "revoked": "subject alice, session s1", "revocations": "r1 r2",
	}
	if diff := cmp.Diff(want, signalled(t, signal)); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
	refused := audit.Signal{Endpoint: "backchannel_logout", Outcome: "replayed", Err: errors.New("because"), Status: 400}
	want = map[string]any{
		"level": "INFO", "msg": "denied", "directive": "token_events", "endpoint": "backchannel_logout", "rule": "replayed",
		"reason": "because", "status": 400.0,
	}
	if diff := cmp.Diff(want, signalled(t, refused)); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	new(audit.Trail).Signalled(t.Context(), signal) // writes nothing
}

func signalled(t *testing.T, signal audit.Signal) map[string]any {
	t.Helper()
	var log bytes.Buffer
	audit.NewTrail(slog.New(slog.NewJSONHandler(&log, nil))).Signalled(t.Context(), signal)
	var line map[string]any
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	return line
}
