package reload_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile" // the Caddyfile adapter
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"go.uber.org/goleak"

	_ "github.com/caddy-gatehouse/gatehouse"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// listen counts connections, and refuses to answer any.
func listen(t *testing.T) (address string, connections func() int) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan int, 1)
	accepted <- 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- 1 + <-accepted
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return listener.Addr().String(), func() int {
		n := <-accepted
		accepted <- n
		return n
	}
}

func validated(t *testing.T, issuer string) string {
	t.Helper()
	return strings.NewReplacer("$SITE", "http://"+harness.FreeAddress(t), "$IDP", issuer, "$UPSTREAM", "127.0.0.1:9").
		Replace(strings.Replace(configuration{}.caddyfile(), "{\n", "{\n\tadmin off\n\tpersist_config off\n", 1))
}

func TestValidateAsksNobody(t *testing.T) {
	address, connections := listen(t)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(validated(t, "http://"+address)), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(context.Background(), harness.Binary(t), "validate", "--config", file, "--adapter", "caddyfile")
	command.Env = append(os.Environ(), "HOME="+filepath.Dir(file))
	out, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Valid configuration") {
		t.Errorf("caddy validate: %v\n%s", err, out)
	}
	if n := connections(); n != 0 {
		t.Errorf("validating made %d connections", n)
	}
}

// What provisioning starts, cleaning up ends, for a configuration that was
// refused half-way too.
func TestProvisioningLeavesNothing(t *testing.T) {
	address, connections := listen(t)
	good := validated(t, "http://"+address)
	late := strings.Replace(good, "leeway 30s\n\t\t}\n", "leeway 30s\n\t\t}\n"+
		"\t\tissuer late https://late.example.com {\n\t\t\taudience any\n\t\t\tjwks /no/such/file\n\t\t}\n", 1)
	tests := map[string]struct{ caddyfile, want string }{
		"accepted":               {good, ""},
		"refused by an issuer":   {late, "/no/such/file"},
		"refused by a directive": {strings.Replace(good, "token_exchange orders", "token_exchange nobody", 1), "nobody"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			existing := goleak.IgnoreCurrent()
			adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(test.caddyfile), nil)
			if err != nil {
				t.Fatal(err)
			}
			var config caddy.Config
			if err := caddy.StrictUnmarshalJSON(adapted, &config); err != nil {
				t.Fatal(err)
			}
			err = caddy.Validate(&config)
			if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
				t.Errorf("validating: %v, want an error about %q", err, test.want)
			}
			goleak.VerifyNone(t, existing)
		})
	}
	if n := connections(); n != 0 {
		t.Errorf("validating made %d connections", n)
	}
}
