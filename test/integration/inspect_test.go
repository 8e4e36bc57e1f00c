package integration_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const inspected = `{
	admin off
	gatehouse {
		issuer main $ISSUER {
			audience https://api.example.com
		}
		issuer down $DOWN {
			audience https://api.example.com
		}
	}
}
http://127.0.0.1:9 {
	handle /a/* {
		token_auth main
		respond ok
	}
	handle /b/* {
		token_auth main {
			audience https://other.example.com
		}
		respond ok
	}
	handle /down/* {
		token_auth down
		respond ok
	}
}
`

// inspect runs the command and returns its exit status and what it printed.
func inspect(t *testing.T, caddyfile, stdin string, arguments ...string) (int, string) {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "Caddyfile")
	if err := os.WriteFile(file, []byte(caddyfile), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(harness.Binary(t), append([]string{"gatehouse", "inspect", "--config", file}, arguments...)...)
	command.Dir, command.Stdin = folder, strings.NewReader(stdin)
	command.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, out.String()
	case errors.As(err, &exit):
		return exit.ExitCode(), out.String()
	default:
		t.Fatal(err)
		return 0, ""
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	server, down := harness.NewAuthServer(t), harness.NewAuthServer(t)
	down.Fail(503)
	caddyfile := strings.NewReplacer("$ISSUER", server.URL, "$DOWN", down.URL).Replace(inspected)
	good := server.Token(map[string]any{"exp": int64(4102444800), "note": "a\u001b[31m\u009b"})
	forged := good[:strings.LastIndex(good, ".")+1] + strings.Repeat("A", 86)
	tests := map[string]struct {
		stdin     string
		arguments []string
		status    int
		holds     []string
	}{
		"accepted": {good, []string{"--at", ":14"}, 0, []string{
			"token_auth", "issuer  " + server.URL, `kid "k1", ES256`, "ok          signature", "result: accepted",
			"exp", "4102444800  2100-01-01T00:00:00Z, in ", `[31m`, `\u009b`,
		}},
		"behind its scheme":    {"Bearer " + good + "\n", []string{"--at", ":14"}, 0, []string{"result: accepted"}},
		"behind the other":     {"dpop " + good + "\n", []string{"--at", ":14"}, 0, []string{"result: accepted"}},
		"from standard input":  {good, []string{"--at", ":14", "-"}, 0, []string{"result: accepted"}},
		"refused by one":       {good, []string{"--at", server.URL}, 2, []string{"failed      audience", "wrong_audience", "result: accepted", "result: refused"}},
		"forged":               {forged, []string{"--at", ":14"}, 2, []string{"failed      signature", "bad_signature", "ok          audience"}},
		"no JWT":               {"opaque", []string{"--at", ":14"}, 2, []string{"failed      format", "not reached signature"}},
		"not to be checked":    {down.Token(nil), []string{"--at", down.URL}, 3, []string{"failed      key", "no_keys", "result: could not be checked"}},
		"nothing":              {" \n", nil, 1, []string{"the input is empty"}},
		"too long":             {strings.Repeat("a", 20000), nil, 1, []string{"longer than"}},
		"no such token_auth":   {good, []string{"--at", ":99"}, 1, []string{"no token_auth to ask: --at :99 fits none of ", "/Caddyfile:14, "}},
		"the token as a file":  {"", []string{good}, 1, []string{"never the token itself"}},
		"two files":            {"", []string{"a", "b"}, 1, []string{"accepts at most 1 arg"}},
		"a broken Caddyfile":   {good, []string{"--adapter", "nobody"}, 1, []string{"unrecognized config adapter"}},
		"a file that is there": {"", []string{"--at", ":14", written(t, good)}, 0, []string{"result: accepted"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			status, out := inspect(t, caddyfile, test.stdin, test.arguments...)
			if status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			for _, text := range test.holds {
				if !strings.Contains(out, text) {
					t.Errorf("the page lacks %q", text)
				}
			}
			if strings.ContainsAny(out, "\x1b\u009b") {
				t.Error("a claim commands the terminal")
			}
			if strings.Contains(out, good) || strings.Contains(out, forged) {
				t.Error("the page holds the token")
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

func written(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
