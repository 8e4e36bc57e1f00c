package integration_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A gateway with two exchanges that bind, and a site to fill in.
const bindSites = `{
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client c {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
		exchange proved {
			client c
			audience orders
			bind dpop
		}
		exchange shown {
			client c
			audience orders
			bind mtls $FOLDER/cert $FOLDER/cert.key
		}
	}
}
&(service) {
	reverse_proxy $FIRST
}
$SITE {
	token_auth
	$ROUTES
}
`

const (
	plainProxy = "reverse_proxy $FIRST"
	ourProxy   = "reverse_proxy $FIRST {\ntransport gatehouse\n}"
)

// A route on which no request could succeed is refused at load; one on which some
// can is not.
func TestBindDPoPIsCheckedAtLoad(t *testing.T) {
	t.Parallel()
	const refused, loads = "no reverse_proxy behind it has transport gatehouse: write it there", ""
	idp, upstream, folder := harness.NewAuthServer(t), harness.NewUpstream(t), t.TempDir()
	harness.NewCertificate(t).Write(t, filepath.Join(folder, "cert"), filepath.Join(folder, "cert.key"))
	with := func(routes string) string { return strings.Replace(bindSites, "$ROUTES", routes, 1) }
	gateway := harness.Start(t, with("respond ready"), "$IDP", idp.URL, "$FIRST", upstream.Address, "$FOLDER", folder)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	for name, test := range map[string]struct{ routes, want string }{
		"beside it":         {"token_exchange proved\n" + plainProxy, refused},
		"in a handle":       {"token_exchange proved\nhandle /a {\n" + plainProxy + "\n}\nhandle {\nrespond b\n}", refused},
		"behind a handle":   {"route {\nroute {\ntoken_exchange proved\n}\n" + plainProxy + "\n}", refused},
		"in a named route":  {"token_exchange proved\ninvoke service", refused},
		"in its own block":  {"token_exchange {\nclient c\naudience orders\nbind dpop\n}\n" + plainProxy, refused},
		"not over HTTP":     {"token_exchange proved\nreverse_proxy /php $FIRST {\ntransport fastcgi\n}\n" + ourProxy, "whose transport is not HTTP: put it into a handle of its own"},
		"with it":           {"token_exchange proved\n" + ourProxy, loads},
		"one of two":        {"token_exchange proved\nhandle /a {\n" + plainProxy + "\n}\nhandle {\n" + ourProxy + "\n}", loads},
		"in another handle": {"handle /a {\ntoken_exchange proved\nrespond a\n}\nhandle {\n" + plainProxy + "\n}", loads},
		"no upstream":       {"token_exchange proved\nrespond a", loads},
		"another exchange":  {"token_exchange {\nclient c\naudience orders\n}\n" + plainProxy, loads},
	} {
		t.Run(name, func(t *testing.T) {
			err := gateway.Reload(with("# " + strings.ReplaceAll(name, " ", "_") + "\n" + test.routes))
			if test.want == loads && err != nil {
				t.Error(err)
			}
			if test.want != loads && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "token_exchange at Caddyfile:")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An upstream that is not shown the certificate is a warning: there may be
// something in between.
func TestBindMTLSWarnsAtLoad(t *testing.T) {
	t.Parallel()
	idp, upstream, folder := harness.NewAuthServer(t), harness.NewUpstream(t), t.TempDir()
	harness.NewCertificate(t).Write(t, filepath.Join(folder, "cert"), filepath.Join(folder, "cert.key"))
	harness.NewCertificate(t).Write(t, filepath.Join(folder, "other"), filepath.Join(folder, "other.key"))
	for name, test := range map[string]struct {
		transport string
		warns     bool
	}{
		"nothing shown":              {"transport http", true},
		"another shown":              {"transport http {\ntls_client_auth $FOLDER/other $FOLDER/other.key\n}", true},
		"another shown, ours":        {"transport gatehouse {\ntls_client_auth $FOLDER/other $FOLDER/other.key\n}", true},
		"the same":                   {"transport http {\ntls_client_auth $FOLDER/cert $FOLDER/cert.key\n}", false},
		"the same, ours":             {"transport gatehouse {\ntls_client_auth $FOLDER/cert $FOLDER/cert.key\n}", false},
		"who knows which, not HTTP ": {"transport fastcgi", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			routes := "token_exchange shown\nreverse_proxy $FIRST {\n" + test.transport + "\n}"
			gateway := harness.Start(t, strings.Replace(bindSites, "$ROUTES", strings.ReplaceAll(routes, "$FOLDER", folder), 1),
				"$IDP", idp.URL, "$FIRST", upstream.Address, "$FOLDER", folder)
			gateway.Await("/", "", http.StatusUnauthorized)
			if got := len(gateway.Lines("no reverse_proxy behind a token_exchange with bind mtls shows its certificate: write tls_client_auth there")) > 0; got != test.warns {
				t.Errorf("warned: %v", got)
			}
		})
	}
}
