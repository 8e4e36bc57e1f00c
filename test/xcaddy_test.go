//go:build xcaddy

package test

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// caddyVersion is the release that users are told to build with.
const caddyVersion = "v2.11.9"

// devOnly are what must never reach an operator's binary: the identity provider
// that hands out tokens to whoever asks, and the library it stands on.
var devOnly = []string{"github.com/zitadel/oidc", module + "/dev"}

// TestXcaddy builds Caddy as an operator does, with the plugin from the working
// tree, and asks the binary for its modules and for one page.
func TestXcaddy(t *testing.T) {
	caddy := filepath.Join(t.TempDir(), "caddy")
	// Without a version xcaddy asks for `latest`, which knows nothing of a
	// working tree: the replacement needs one that it can be a replacement for.
	build := xcaddy(t, "build", caddyVersion, "--with", module+"@v0.0.0=.", "--output", caddy)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("running %s: %v\n%s", build, err, out)
	}

	t.Run("modules", func(t *testing.T) {
		listed := strings.Fields(string(run(t, ".", caddy, "list-modules")))
		for _, want := range []string{"gatehouse", "http.handlers.token_auth", "http.handlers.token_require", "http.handlers.token_exchange"} {
			if !slices.Contains(listed, want) {
				t.Errorf("module %s is not in the binary", want)
			}
		}
		if slices.Contains(listed, "http.handlers.dev_idp") {
			t.Error("the identity provider for development is in the binary")
		}
	})

	t.Run("dependencies", func(t *testing.T) {
		info, err := buildinfo.ReadFile(caddy)
		if err != nil {
			t.Fatal(err)
		}
		paths := []string{info.Main.Path}
		for _, dep := range info.Deps {
			paths = append(paths, dep.Path)
		}
		if !slices.Contains(paths, module) {
			t.Errorf("the binary does not name %s among its modules", module)
		}
		refuseDev(t, paths)
	})

	t.Run("one request", func(t *testing.T) {
		address := serve(t, caddy)
		response := get(t, "http://"+address+"/")
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("status = %d, want 401", response.StatusCode)
		}
		if challenge := response.Header.Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer ") {
			t.Errorf("WWW-Authenticate = %q, want a Bearer challenge", challenge)
		}
	})
}

// TestXcaddyOwnBinary holds cmd/caddy to the same: what it is linked from is
// known without building it.
func TestXcaddyOwnBinary(t *testing.T) {
	deps := strings.Fields(string(run(t, "..", "go", "list", "-deps", "./cmd/caddy")))
	if !slices.Contains(deps, module) {
		t.Fatalf("cmd/caddy does not link %s: the list was not read", module)
	}
	refuseDev(t, deps)
}

func refuseDev(t *testing.T, paths []string) {
	t.Helper()
	for _, path := range paths {
		for _, refused := range devOnly {
			if under(path, refused) {
				t.Errorf("%s is linked: it belongs to development alone", path)
			}
		}
	}
}

// xcaddy is a call of xcaddy from the module's root: the binary that XCADDY
// names, else the one that dev/tools/go.mod pins.
func xcaddy(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	name := os.Getenv("XCADDY")
	if name == "" {
		name = "go"
		args = append([]string{"tool", "-modfile=dev/tools/go.mod", "xcaddy"}, args...)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = ".."
	return cmd
}

// serve runs caddy with one protected site until the test ends, and returns the
// site's address once it answers. The issuer answers nobody: a request without
// a token needs no key to be refused.
func serve(t *testing.T, caddy string) string {
	t.Helper()
	home, address := t.TempDir(), freeAddress(t)
	config := filepath.Join(home, "Caddyfile")
	if err := os.WriteFile(config, fmt.Appendf(nil, `{
	admin off
	persist_config off
}
http://%s {
	token_auth https://127.0.0.1:1/ {
		audience x
	}
	respond "open"
}
`, address), 0o600); err != nil {
		t.Fatal(err)
	}

	var log bytes.Buffer
	cmd := exec.Command(caddy, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the log says it better
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		<-ended
		if t.Failed() {
			t.Logf("caddy's log:\n%s", log.String())
		}
	})

	ready, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.Tick(20 * time.Millisecond); ; {
		if conn, err := new(net.Dialer).DialContext(ready, "tcp", address); err == nil {
			_ = conn.Close()
			return address
		}
		select {
		case <-tick:
		case <-ended:
			t.Fatal("caddy ended before it served")
		case <-ready.Done():
			t.Fatal("caddy does not serve")
		}
	}
}

// freeAddress is a loopback address where nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func get(t *testing.T, url string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}
