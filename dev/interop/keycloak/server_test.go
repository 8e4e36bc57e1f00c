//go:build interop

package keycloak

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// patience is how long Keycloak may take to start or to end: a slow machine with
// other work needs a minute. It is never a measure.
const patience = 4 * time.Minute

// keycloak is the server of this run.
var keycloak *server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	defer harness.Discard()
	folder, err := os.MkdirTemp("", "gatehouse-interop-")
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	keycloak, err = start(folder)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "keycloak:", err)
		return 1
	}
	defer keycloak.stop()
	return m.Run()
}

// A server is a running Keycloak.
type server struct {
	// url is its plain address, and what its issuers begin with; secure is the
	// address with TLS, which asks for a client's certificate.
	url, secure string
	folder      string
	authority   *authority
	command     *exec.Cmd
	exited      chan struct{}
}

// admin is the administrator of the one run.
const admin = "interop-admin"

// start starts the Keycloak that install.sh has built.
func start(folder string) (*server, error) {
	home := filepath.Join(harness.Root(), ".cache", "interop", "keycloak-26.7.3")
	if _, err := os.Stat(filepath.Join(home, "bin", "kc.sh")); err != nil {
		return nil, fmt.Errorf("it is not installed; `make interop` does that: %w", err)
	}
	made, err := newAuthority(folder)
	if err != nil {
		return nil, err
	}
	s := &server{folder: folder, authority: made, exited: make(chan struct{})}
	var ports [2]string
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	s.url, s.secure = "http://127.0.0.1:"+ports[0], "https://127.0.0.1:"+ports[1]
	s.command = exec.Command(filepath.Join(home, "bin", "kc.sh"), "start", "--optimized",
		"--cache=local", "--http-host=127.0.0.1", "--http-enabled=true", "--http-port="+ports[0], "--hostname="+s.url,
		"--https-port="+ports[1], "--truststore-paths="+made.file,
		"--https-certificate-file="+made.serverCert, "--https-certificate-key-file="+made.serverKey)
	s.command.Env = append(os.Environ(), "KC_BOOTSTRAP_ADMIN_USERNAME="+admin, "KC_BOOTSTRAP_ADMIN_PASSWORD="+admin,
		"JAVA_OPTS_KC_HEAP=-Xms64m -Xmx512m")
	log, err := os.Create(filepath.Join(folder, "keycloak.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	s.command.Stdout, s.command.Stderr = log, log
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.command.Wait()
		close(s.exited)
	}()
	if err := s.await(); err != nil {
		s.stop()
		return nil, fmt.Errorf("%w; its log ends so:\n%s", err, s.log(4000))
	}
	return s, nil
}

// await waits until it answers.
func (s *server) await() error {
	deadline := time.After(patience)
	for {
		answer, err := client.Get(s.url + "/realms/master/.well-known/openid-configuration")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-s.exited:
			return fmt.Errorf("it ended at once")
		case <-deadline:
			return fmt.Errorf("it did not start")
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// stop ends it. kc.sh hands the signal on to Java.
func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.command.Process.Kill()
		_, _ = fmt.Fprintln(os.Stderr, "keycloak: it did not end when told to")
	}
}

// log is the end of what it wrote.
func (s *server) log(size int) string {
	text, err := os.ReadFile(filepath.Join(s.folder, "keycloak.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-size):])
}

// client speaks to Keycloak and follows no redirect.
var client = &http.Client{
	Timeout:       time.Minute,
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// withCertificate is a client that shows a certificate.
func (s *server) withCertificate(certificates ...tls.Certificate) *http.Client {
	return &http.Client{Timeout: client.Timeout, CheckRedirect: client.CheckRedirect, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: s.authority.pool, Certificates: certificates},
	}}
}

// do sends a request and returns the whole answer.
func do(t *testing.T, by *http.Client, request *http.Request) harness.Answer {
	t.Helper()
	answer, err := by.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return harness.Answer{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
}

func newRequest(t *testing.T, method, url, contentType string, body []byte) *http.Request {
	t.Helper()
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request
}

func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address := listener.Addr().String()
	return address[strings.LastIndex(address, ":")+1:], listener.Close()
}
