package devidp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// validate runs a Caddyfile through what caddy validate does.
func validate(t *testing.T, config string) error {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapted, &parsed); err != nil {
		return err
	}
	return caddy.Validate(&parsed)
}

func TestListenersOfARunningConfiguration(t *testing.T) {
	const directive = "dev_idp http://127.0.0.1:9000 {\nfaults_token x\n}"
	tests := map[string]struct {
		config string
		loads  bool
	}{
		"default_bind":       {"{\ndefault_bind 127.0.0.1\nadmin off\n}\nhttp://127.0.0.1:9000 {\n" + directive + "\n}", true},
		"bind":               {"{\nadmin off\n}\nhttp://127.0.0.1:9000 {\nbind 127.0.0.1 ::1\n" + directive + "\n}", true},
		"bind localhost":     {"{\nadmin off\n}\nhttp://127.0.0.1:9000 {\nbind localhost\n" + directive + "\n}", true},
		"inside a handle":    {"{\nadmin off\n}\nhttp://127.0.0.1:9000 {\nbind 127.0.0.1\nhandle {\n" + directive + "\n}\n}", true},
		"wildcard":           {"{\nadmin off\n}\nhttp://127.0.0.1:9000 {\n" + directive + "\n}", false},
		"wildcard in handle": {"{\nadmin off\n}\n:9000 {\nhandle /x/* {\n" + directive + "\n}\n}", false},
		"all addresses":      {"{\nadmin off\n}\n:9000 {\nbind 0.0.0.0\n" + directive + "\n}", false},
		"one of two":         {"{\nadmin off\n}\n:9000 {\nbind 127.0.0.1 192.0.2.1\n" + directive + "\n}", false},
		"unix socket":        {"{\nadmin off\n}\n:9000 {\nbind unix//tmp/dev_idp.sock\n" + directive + "\n}", false},
		"named route":        {"{\nadmin off\n}\n&(idp) {\n" + directive + "\n}\n:9000 {\ninvoke idp\n}", false},
		"error route":        {"{\nadmin off\n}\n:9000 {\nhandle_errors {\n" + directive + "\n}\n}", false},
		"neighbour only":     {"{\nadmin off\n}\n:9001 {\nrespond ok\n}\nhttp://127.0.0.1:9000 {\nbind 127.0.0.1\n" + directive + "\n}", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			err := validate(t, test.config)
			switch {
			case test.loads && err != nil:
				t.Errorf("did not load: %v", err)
			case !test.loads && (err == nil || !strings.Contains(err.Error(), errListener.Error())):
				t.Errorf("loaded, or failed for another reason: %v", err)
			}
		})
	}
}

func TestListenerAddresses(t *testing.T) {
	tests := map[string]bool{
		"127.0.0.1:9000": true, "tcp/127.0.0.5:1-9": true, "[::1]:9000": true, "tcp6/[::1]:9000": true, "localhost:9000": true, "udp/127.0.0.1:1": true,
		":9000": false, "0.0.0.0:9000": false, "[::]:9000": false, "192.0.2.1:80": false, "example.com:80": false,
		"idp.localhost:80": false, "unix//run/x.sock": false, "fd/3": false, "": false,
	}
	for address, want := range tests {
		if got := isLoopbackListener(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}

func TestUnknownListenerIsRefused(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := requireLoopbackListeners(ctx); !errors.Is(err, errListener) {
		t.Errorf("no server: %v", err)
	}
	ctx.Context = context.WithValue(ctx.Context, caddyhttp.ServerCtxKey, &caddyhttp.Server{})
	if err := requireLoopbackListeners(ctx); !errors.Is(err, errListener) {
		t.Errorf("no address: %v", err)
	}
}

func TestEveryRequestIsChecked(t *testing.T) {
	tests := map[string]struct {
		host, local, remote string
		passes              bool
	}{
		"all loopback":   {"127.0.0.1:9000", "127.0.0.1:9000", "127.0.0.1:55555", true},
		"a local name":   {"idp.localhost:9000", "[::1]:9000", "[::1]:55555", true},
		"rebound name":   {"evil.example:9000", "127.0.0.1:9000", "127.0.0.1:55555", false},
		"no host":        {"", "127.0.0.1:9000", "127.0.0.1:55555", false},
		"outer listener": {"127.0.0.1:9000", "192.0.2.1:9000", "127.0.0.1:55555", false},
		"no listener":    {"127.0.0.1:9000", "", "127.0.0.1:55555", false},
		"remote caller":  {"127.0.0.1:9000", "127.0.0.1:9000", "192.0.2.9:55555", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			request.Host, request.RemoteAddr = test.host, test.remote
			if test.local != "" {
				address, err := net.ResolveTCPAddr("tcp", test.local)
				if err != nil {
					t.Fatal(err)
				}
				request = request.WithContext(context.WithValue(request.Context(), http.LocalAddrContextKey, address))
			}
			// A handler without a provider: it must refuse before it needs one.
			recorder, passed := httptest.NewRecorder(), fromLoopback(request)
			if passed != test.passes {
				t.Fatalf("passed %v", passed)
			}
			if passed {
				return
			}
			if err := new(DevIDP).ServeHTTP(recorder, request, nil); err != nil || recorder.Code != http.StatusForbidden {
				t.Errorf("%d, %v", recorder.Code, err)
			}
		})
	}
}

func TestNothingIsHeldAfterwards(t *testing.T) {
	const config = "{\nadmin off\n}\nhttp://127.0.0.1:9000 {\nbind 127.0.0.1\ndev_idp http://127.0.0.1:9000 {\n%s\n}\n}"
	for name, option := range map[string]string{
		"good configuration": "faults_token x",
		"missing variable":   "faults_token {env.DEV_IDP_NO_SUCH_VARIABLE}",
		"bad client":         "client web {\ngrants client_credentials\n}",
	} {
		err := validate(t, strings.Replace(config, "%s", option, 1))
		if (err == nil) != (name == "good configuration") {
			t.Errorf("%s: %v", name, err)
		}
		states.Range(func(key, _ any) bool {
			t.Errorf("%s: %v is still held", name, key)
			return true
		})
	}
}
