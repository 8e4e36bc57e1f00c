package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// What only sites and servers together show. $ROUTES are those of a site over plain
// HTTP, $TLS those of one over TLS.
const siteWords = `{
	skip_install_trust
	auto_https disable_redirects
	$GLOBAL
	gatehouse {
		issuer main $IDP {
			audience any
		}
		client gateway {
			issuer main
			client_id gateway
			secret "correct horse battery staple"
		}
		sign {
			issuer https://gateway.example
		}
	}
}
(mesh) {
	token_service {
		endpoints jwks token
		client mesh {
			auth tls mesh.example.com
			grants client_credentials
			audience billing
		}
	}
}
$SITE {
	$ROUTES
}
https://localhost:$PORT {
	$TLS
}
`

// Two services of which the second never answers, and a client that could never prove
// itself, are refused at load, with both places.
func TestServiceSitesAreCheckedAtLoad(t *testing.T) {
	t.Parallel()
	const (
		loads    = ""
		document = "answers /.well-known/oauth-authorization-server before it: give one of them another prefix or other endpoints"
		taken    = "answers /oauth2/jwks before it"
		unseen   = "auth tls, and this site verifies no client certificates"
		one      = "token_service\n"
		other    = "token_service {\nprefix /sts\n}\n"
		keysOnly = "token_service {\nprefix /sts\nendpoints jwks\n}\n"
	)
	authority := harness.NewAuthority(t)
	clientAuth := func(mode string) string {
		return "tls internal {\nclient_auth {\n" + mode + "\n}\n}\nimport mesh\n"
	}
	_, port, _ := strings.Cut(harness.FreeAddress(t), ":")
	with := func(routes, tls string) string {
		return strings.NewReplacer("$GLOBAL", "", "$ROUTES", routes, "$TLS", tls, "$PORT", port).Replace(siteWords)
	}
	const secure = "tls internal\n"
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, with("token_auth\nrespond ready", secure), "$IDP", idp.URL, "$CA", authority.File)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	for name, test := range map[string]struct{ routes, tls, want string }{
		"twice":                 {one + one, secure, document},
		"the keys twice":        {one + "token_service {\nendpoints jwks\n}\n", secure, taken},
		"the metadata twice":    {one + other, secure, document},
		"apart":                 {one + keysOnly, secure, loads},
		"within a handle":       {one + "handle /a/* {\n" + one + "}", secure, document},
		"behind a handle":       {"route {\nhandle {\n" + one + "}\nroute {\n" + one + "}\n}", secure, document},
		"in two handles":        {"handle /a/* {\n" + one + "}\nhandle {\n" + one + "}", secure, loads},
		"behind a matcher":      {"token_service /oauth2/jwks\n" + one, secure, loads},
		"on two sites":          {one, secure + one, loads},
		"a client, plain HTTP":  {"import mesh", secure, unseen},
		"a client, nobody asks": {"", secure + "import mesh", unseen},
		"a client, only asked":  {"", clientAuth("mode request"), unseen},
		"a client, required":    {"", clientAuth("mode require"), unseen},
		"a client, verified":    {"", clientAuth("trust_pool file $CA"), loads},
		"a client, if it has":   {"", clientAuth("mode verify_if_given\ntrust_pool file $CA"), loads},
	} {
		t.Run(name, func(t *testing.T) {
			err := gateway.Reload(with("# "+strings.ReplaceAll(name, " ", "_")+"\n"+test.routes, test.tls))
			if test.want == loads && err != nil {
				t.Error(err)
			}
			if test.want != loads && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "token_service (Caddyfile:")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Of two token_events that listen on one path the second would never hear anything.
func TestEventsSitesAreCheckedAtLoad(t *testing.T) {
	t.Parallel()
	const (
		loads   = ""
		logouts = "token_events {\nbackchannel_logout main\n}\n"
		signals = "token_events {\nshared_signals main https://api.example.com/signals\n}\n"
		mend    = " before it: write the lines of both into one block, or put each into a handle of its own"
	)
	_, port, _ := strings.Cut(harness.FreeAddress(t), ":")
	with := func(routes, tls string) string {
		return strings.NewReplacer("$GLOBAL", "", "$ROUTES", routes, "$TLS", tls, "$PORT", port).Replace(siteWords)
	}
	const secure = "tls internal\n"
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, with("token_auth\nrespond ready", secure), "$IDP", idp.URL)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	for name, test := range map[string]struct{ routes, tls, want string }{
		"logouts twice":     {logouts + logouts, secure, "answers /backchannel-logout" + mend},
		"signals twice":     {"route {\n" + signals + signals + "}\n", secure, "answers /shared-signals" + mend},
		"within a handle":   {logouts + "handle /a/* {\n" + logouts + "}\n", secure, "answers /backchannel-logout" + mend},
		"each its own":      {logouts + signals, secure, loads},
		"beside a service":  {logouts + "token_service\n", secure, loads},
		"in two handles":    {"handle /a/* {\n" + logouts + "}\nhandle {\n" + logouts + "}\n", secure, loads},
		"on two sites":      {logouts, secure + logouts, loads},
		"behind a matcher":  {"token_events /backchannel-logout {\nbackchannel_logout main\n}\n" + logouts, secure, loads},
		"in an error route": {logouts + "handle_errors {\n" + logouts + "}\n", secure, loads},
	} {
		t.Run(name, func(t *testing.T) {
			err := gateway.Reload(with("# "+strings.ReplaceAll(name, " ", "_")+"\n"+test.routes, test.tls))
			if test.want == loads && err != nil {
				t.Error(err)
			}
			if test.want != loads && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "token_events (Caddyfile:")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A header that is believed from proxies, on a server that trusts none, is a warning.
func TestCertificateHeaderWarnsAtLoad(t *testing.T) {
	t.Parallel()
	const header = "token_auth {\nclient_certificate Client-Cert\n}\nrespond in"
	for name, test := range map[string]struct {
		global, routes string
		warns          bool
	}{
		"no proxies":         {"", header, true},
		"in a handle":        {"", "handle {\n" + header + "\n}", true},
		"proxies":            {"servers {\ntrusted_proxies static private_ranges\n}", header, false},
		"a socket":           {"servers {\ntrusted_proxies_unix\n}", header, false},
		"no header, no need": {"", "token_auth\nrespond in", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, port, _ := strings.Cut(harness.FreeAddress(t), ":")
			idp := harness.NewAuthServer(t)
			gateway := harness.Start(t, strings.NewReplacer("$GLOBAL", test.global, "$ROUTES", test.routes, "$TLS", "tls internal", "$PORT", port).Replace(siteWords), "$IDP", idp.URL)
			lines := gateway.Lines("client_certificate is believed from trusted proxies alone, and the server has none: write trusted_proxies")
			if len(lines) > 0 != test.warns {
				t.Fatalf("%d warnings", len(lines))
			}
			if place, _ := lineField(lines, "place").(string); test.warns && !strings.Contains(place, "Caddyfile:") {
				t.Errorf("the warning has the place %q", place)
			}
		})
	}
}

// Tokens that must be bound to a certificate, where nobody is asked for one, are a
// warning.
func TestMutualTLSWarnsAtLoad(t *testing.T) {
	t.Parallel()
	const (
		wanted = "token_auth {\nsender_constrained mtls\n}\nrespond in"
		asks   = "tls internal {\nclient_auth {\nmode request\n}\n}"
		warned = "sender_constrained mtls, and this site asks for no client certificates: write tls { client_auth { mode request } } in the site, or client_certificate"
	)
	for name, test := range map[string]struct {
		tls, routes string
		warns       bool
	}{
		"nobody is asked": {"tls internal", wanted, true},
		"in a handle":     {"tls internal", "handle {\n" + wanted + "\n}", true},
		"asked for":       {asks, wanted, false},
		"from a proxy":    {"tls internal", strings.Replace(wanted, "mtls", "mtls\nclient_certificate Client-Cert", 1), false},
		"or by DPoP":      {"tls internal", strings.Replace(wanted, "mtls", "dpop mtls", 1), false},
		"not wanted":      {"tls internal", "token_auth\nrespond in", false},
	} {
		t.Run(name, func(t *testing.T) {
			_, port, _ := strings.Cut(harness.FreeAddress(t), ":")
			idp := harness.NewAuthServer(t)
			gateway := harness.Start(t, strings.NewReplacer("$GLOBAL", "", "$ROUTES", "respond out", "$TLS", test.tls+"\n"+test.routes, "$PORT", port).Replace(siteWords), "$IDP", idp.URL)
			lines := gateway.Lines(warned)
			if len(lines) > 0 != test.warns {
				t.Fatalf("%d warnings", len(lines))
			}
			if place, _ := lineField(lines, "place").(string); test.warns && !strings.Contains(place, "Caddyfile:") {
				t.Errorf("the warning has the place %q", place)
			}
		})
	}
}

func lineField(lines []map[string]any, name string) any {
	if len(lines) == 0 {
		return nil
	}
	return lines[0][name]
}
