package integration_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// command runs one of the gateway's commands, and returns its exit status and what it
// said.
func command(t *testing.T, gateway *harness.Gateway, stdin string, arguments ...string) (int, string) {
	t.Helper()
	arguments = append(append([]string{"gatehouse"}, arguments...), "--address", strings.TrimPrefix(gateway.Admin, "http://"))
	run := exec.Command(harness.Binary(t), arguments...)
	run.Dir, run.Stdin = t.TempDir(), strings.NewReader(stdin)
	var out bytes.Buffer
	run.Stdout, run.Stderr = &out, &out
	err := run.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, out.String()
}

func TestRevokeCommand(t *testing.T) {
	t.Parallel()
	idp, upstream := harness.NewAuthServer(t), harness.NewUpstream(t)
	gateway := harness.Start(t, mainJob, "$IDP", idp.URL, "$UPSTREAM", upstream.Address)
	token, filed := idp.Token(map[string]any{"jti": "j1"}), idp.Token(map[string]any{"jti": "j2"})
	gateway.Await("/other", token, http.StatusOK)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("Bearer "+filed+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		stdin     string
		arguments []string
		status    int
		says      string
	}{
		{"", []string{"revoke"}, 1, "what to revoke is missing"},
		{"", []string{"revoke", "bob"}, 1, "write revoke <kind> <value> --issuer <name|url>"},
		{"", []string{"revoke", "bob", "--issuer", "main"}, 1, "write revoke <kind> <value> --issuer <name|url>"},
		{"", []string{"revoke", "--token"}, 1, "the input is empty"},
		{token, []string{"revoke", "--token", "subject", "alice"}, 1, "--token and a kind"},
		{"", []string{"revoke", "--token", token}, 1, "the argument is a file, never the token itself"},
		{"", []string{"revoke", "subject", "alice"}, 1, "the gateway answered 400 Bad Request: the request is not valid: issuer: it is missing"},
		{"", []string{"revoke", "subject", "alice", "--issuer", "nobody"}, 1, "trusts none of that name or URL"},
		{"", []string{"revoke", "subject", "alice", "--issuer", "main", "--before", "0001-01-01T00:00:00Z"}, 1, "before: it lies before 1970"},
		{token, []string{"revoke", "--token", "--dry-run"}, 0, "would revoke jti j1 of " + idp.URL},
		{token, []string{"revoke", "--token", "--reason", "stolen"}, 0, "revoked jti j1 of " + idp.URL},
		{"", []string{"revoke", "--token", file}, 0, "revoked jti j2 of " + idp.URL},
		{"", []string{"revoke", "--token=" + file}, 0, "revoked jti j2 of " + idp.URL},
		{"", []string{"revoke", "subject", "bob", "--issuer", "main", "--all", "--for", "1h"}, 0, "revoked subject bob of " + idp.URL + "\n"},
		{"", []string{"revoke", "client", "gone", "--issuer", "main", "--before", "now"}, 0, "issued until 2"},
		{"", []string{"revoke", "issuer", "--issuer", "main", "--before", "2020-01-01T00:00:00Z"}, 0, "revoked issuer " + idp.URL + ", issued until 2020-01-01T00:00:00Z"},
		{"", []string{"revoke", "key", "retired-1", "--issuer", "main"}, 0, "revoked key retired-1 of " + idp.URL + "\n"},
		{"", []string{"revocations", "--kind", "jti"}, 0, "3 of 3 that match"},
		{"", []string{"revocations", "--value", "j1"}, 0, "stolen"},
		{"", []string{"revocations", "--limit", "2"}, 0, "more: --after "},
		{"", []string{"revocations", "--json", "--kind", "subject"}, 0, `"value":"bob"`},
		{"", []string{"revocations", "--kind", "user"}, 1, "there is no such kind"},
	} {
		status, said := command(t, gateway, tt.stdin, tt.arguments...)
		if status != tt.status || !strings.Contains(said, tt.says) {
			t.Errorf("%v: exit status %d, want %d and %q:\n%s", tt.arguments, status, tt.status, tt.says, said)
		}
		if strings.Contains(said, token) {
			t.Errorf("%v: the token is printed", tt.arguments)
		}
	}
	for _, revoked := range []string{token, filed, idp.Token(map[string]any{"sub": "bob"})} {
		gateway.Get("/other", revoked).Expect(t, http.StatusUnauthorized)
	}
	gateway.Get("/other", idp.Token(nil)).Expect(t, http.StatusOK)
	gateway.Stop()
	if status, said := command(t, gateway, token, "revoke", "--token"); status != 1 {
		t.Errorf("without a gateway: %d\n%s", status, said)
	}
}
