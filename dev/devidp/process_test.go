package devidp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}

// patience bounds every wait for the process. It is no assertion: a machine that
// is slow only makes the test slow.
const patience = 60 * time.Second

// process is a running gatehouse-dev.
type process struct {
	t           *testing.T
	issuer      string
	admin       string
	faultsToken string
	http        *http.Client
}

// freeAddress returns an address on loopback where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

const processClients = `
		user alice alice-password
		client gateway gateway-secret {
			grants client_credentials token_exchange
			scopes orders:read orders:write
			audience https://api.example.com
			targets orders
			exchange_from https://api.example.com
		}
		client web {
			grants authorization_code
			redirect http://127.0.0.1:8080/callback
			scopes orders:read
			audience https://api.example.com
		}`

// caddyfile serves a provider with these options.
func (p *process) caddyfile(bind, options string) string {
	return fmt.Sprintf("{\n\tadmin %s\n\tdefault_bind %s\n\tpersist_config off\n}\n%s {\n\tdev_idp %s {%s\n\t}\n\trespond /other other\n}\n",
		p.admin, bind, p.issuer, p.issuer, options)
}

// newProcess picks the addresses of a process and does not start it.
func newProcess(t *testing.T) *process {
	t.Helper()
	return &process{
		t: t, issuer: "http://" + freeAddress(t), admin: freeAddress(t),
		http: &http.Client{
			Timeout:       patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// command prepares gatehouse-dev with a home of its own.
func (p *process) command(ctx context.Context, config string, args ...string) *exec.Cmd {
	p.t.Helper()
	home := p.t.TempDir()
	file := filepath.Join(home, "Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		p.t.Fatal(err)
	}
	command := exec.CommandContext(ctx, harness.Binary(p.t), append(args, "--config", file, "--adapter", "caddyfile")...)
	command.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	return command
}

// run starts the process and waits until it serves and has said its token.
func (p *process) run() {
	p.t.Helper()
	command := p.command(context.Background(), p.caddyfile("127.0.0.1", processClients), "run")
	output, err := command.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	p.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		for range lines { // drained, so that the process can end
		}
		_ = command.Wait()
	})
	p.awaitToken(lines)
	go func() {
		for range lines { // nobody reads on, and a full pipe would stop the process
		}
	}()
}

func (p *process) awaitToken(lines <-chan string) {
	p.t.Helper()
	deadline, seen := time.After(patience), []string{}
	for {
		select {
		case line, open := <-lines:
			seen = append(seen, line)
			if _, token, ok := strings.Cut(line, "dev_idp "+p.issuer+" faults token: "); ok {
				p.faultsToken = token
				return
			}
			if !open {
				p.t.Fatalf("gatehouse-dev ended:\n%s", strings.Join(seen, "\n"))
			}
		case <-deadline:
			p.t.Fatalf("no faults token was printed:\n%s", strings.Join(seen, "\n"))
		}
	}
}

// call sends a request and reads the answer; a form makes it a POST.
func (p *process) call(method, target string, form url.Values, change func(*http.Request)) (int, http.Header, string) {
	p.t.Helper()
	request, err := http.NewRequestWithContext(p.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(request)
	}
	response, err := p.http.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(body)
}

func asGateway(r *http.Request) { r.SetBasicAuth("gateway", "gateway-secret") }

func (p *process) asTester(r *http.Request) { r.Header.Set("Authorization", "Bearer "+p.faultsToken) }
