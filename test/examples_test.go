package test

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-gatehouse/gatehouse"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestMain(m *testing.M) {
	status := m.Run()
	harness.Discard()
	os.Exit(status)
}

// stage is what an example runs between: servers and an upstream of the test in
// the places of those it names.
type stage struct {
	*harness.Gateway

	idp, other *harness.AuthServer
	region     *harness.AuthServer // of idp
	upstream   *harness.Upstream
	folder     string
	caddyfile  string         // what the gateway was started with
	secure     string         // where the site listens with TLS, for examples that need it
	key        *tokentest.Key // what /etc/gatehouse/client.pem holds

	instances *instances             // of examples/resilient-upstreams
	mesh      *mesh                  // of examples/upstream-mtls
	endpoint  *harness.Introspection // of idp, for examples that ask it
	hook      *harness.Hook          // of examples/events
}

// examples are the folders of examples/ with what each must do. quickstart
// stands on its own; see TestQuickstart.
var examples = map[string]func(*testing.T, *stage){
	"api":                actAPI,
	"several-issuers":    actSeveralIssuers,
	"error-pages":        actErrorPages,
	"custom-header":      actCustomHeader,
	"telemetry":          actTelemetry,
	"step-up":            actStepUp,
	"policies":           actPolicies,
	"limits":             actLimits,
	"cors":               actCORS,
	"grpc":               actGRPC,
	"streams":            actStreams,
	"http3":              actHTTP3,
	"regions":            actRegions,
	"keycloak":           actKeycloak,
	"entra":              actEntra,
	"auth0":              actAuth0,
	"okta":               actOkta,
	"cognito":            actCognito,
	"cookie":             actCookie,
	"public-and-private": actPublicAndPrivate,
	"client-key":         actClientKey,
	"dpop":               actDPoP,
	"mtls":               actMTLS,
	"opaque":             actOpaque,
	"token-service":      actTokenService,
	"microservices":      actMicroservices,
	"mesh":               actMesh,
	"mcp":                actMCP,
	"logout":             actLogout,
	"shared-signals":     actSharedSignals,
	"status-list":        actStatusList,
	"revocation":         actRevocation,
	"cluster":            actCluster,
	"events":             actEvents,

	"resilient-upstreams": actResilientUpstreams,
	"upstream-mtls":       actUpstreamMTLS,
	"bound-upstream":      actBoundUpstream,

	"exchange-keycloak": actProvider("keycloak"),
	"exchange-entra":    actProvider("entra"),
	"exchange-okta":     actProvider("okta"),
	"exchange-auth0":    actProvider("auth0"),
	"exchange-zitadel":  actProvider("zitadel"),
	"exchange-dex":      actProvider("dex"),
	"exchange-google":   actProvider("google"),
}

// TestExamples holds every example to what it promises: it adapts as it is,
// without a warning and without the development provider, and it works.
func TestExamples(t *testing.T) {
	for _, name := range []string{"GATEWAY_SECRET", "STAFF_SECRET", "PARTNERS_SECRET"} {
		t.Setenv(name, harness.ClientSecret)
	}
	for _, name := range []string{"NIGHTLY_SECRET_HASH", "BILLING_SECRET_HASH"} {
		t.Setenv(name, harness.ServiceHash())
	}
	t.Setenv("GATEHOUSE_SEAL", strings.Repeat("canary-seal-", 4))
	t.Setenv("REDIS_PASSWORD", redisPassword)
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	for _, name := range exampleFolders(t) {
		if name == "quickstart" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			act := examples[name]
			if act == nil {
				t.Fatalf("examples/%s has no test", name)
			}
			caddyfile := readExample(t, name)
			if warnings := adaptText(t, caddyfile); len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			s := &stage{
				idp: harness.NewAuthServer(t), other: harness.NewAuthServer(t),
				upstream: harness.NewUpstream(t), folder: t.TempDir(), key: tokentest.NewKey(t, "ES256", "gateway-1"),
			}
			caddyfile = s.fit(t, name, withoutPreface(caddyfile))
			s.writeKey(t)
			onStage := strings.NewReplacer(
				"\napi.example.com {", "\n$SITE {",
				"\ngateway.example.com {", "\n$SITE {",
				"https://gateway.example.com", "$SITE",
				"https://idp.example.com/realms/main", s.idp.URL,
				"https://idp.example.com/realms/staff", s.idp.URL,
				"https://login.example.net", s.other.URL,
				"https://keycloak.example.com/realms/main", s.idp.URL,
				"https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0", s.idp.URL,
				"https://example.okta.com/oauth2/default", s.idp.URL,
				"https://tenant.eu.auth0.com/", s.idp.URL,
				"https://zitadel.example.com", s.idp.URL,
				"https://dex.example.com", s.other.URL,
				"https://sts.googleapis.com/v1/token", s.other.URL+"/token",
				"billing.internal:8080", s.upstream.Address,
				"https://eu.idp.example.com/realms/main", s.regionOf(t, s.idp),
				"https://us.idp.example.com/realms/main", "https://us.idp.localhost:9",
				"https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0", s.idp.URL,
				"https://login.microsoftonline.com/22222222-2222-2222-2222-222222222222/v2.0", s.other.URL,
				"https://tenant.eu.auth0.com/ {", s.idp.URL+" {",
				"https://example.okta.com/oauth2/default", s.idp.URL,
				"https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Example", s.idp.URL,
				"orders.internal:8080", s.upstream.Address,
				"stock.internal:8080", s.upstream.Address,
				"parts.internal:8080", s.upstream.Address,
				"reports.internal:8080", s.upstream.Address,
				"legacy.internal:8080", s.upstream.Address,
				"https://cdn.example.net", s.other.URL,
				"127.0.0.1:9180", harness.FreeAddress(t),
				"/etc/gatehouse", s.folder,
				"/var/log/caddy", s.folder)
			s.caddyfile = onStage.Replace(caddyfile)
			s.Gateway = harness.Start(t, s.caddyfile)
			act(t, s)
		})
	}
}

// fit makes the example's site one that the test's own clients reach.
func (s *stage) fit(t *testing.T, name, caddyfile string) string {
	t.Helper()
	switch name {
	case "grpc":
		return plainHTTP2 + strings.ReplaceAll("\n"+caddyfile, "orders.internal:8080", grpcServer(t))
	case "shared-signals":
		s.idp.Handle("/.well-known/ssf-configuration", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(tokentest.JSON(map[string]any{"issuer": s.idp.URL, "jwks_uri": s.idp.URL + "/jwks"}))
		})
		return "\n" + caddyfile
	case "events":
		return "\n" + s.fitEvents(t, caddyfile)
	case "opaque":
		s.endpoint = s.idp.Introspects(t)
		return "\n" + caddyfile
	case "revocation", "cluster":
		return "\n" + s.fitRevocation(t, name, caddyfile)
	case "http3":
		address := harness.FreeAddress(t)
		s.secure = "https://localhost" + address[strings.LastIndex(address, ":"):]
		caddyfile = strings.Replace(caddyfile, "{\n", "{\n\tskip_install_trust\n\tauto_https disable_redirects\n", 1)
		return strings.Replace(caddyfile, "api.example.com {", s.secure+" {\n\ttls internal", 1)
	case "resilient-upstreams", "upstream-mtls":
		return "\n" + s.fitUpstreams(t, name, caddyfile)
	case "mesh":
		return "\n" + s.fitMesh(t, caddyfile)
	case "bound-upstream":
		return s.fitBound(t, caddyfile)
	case "mtls":
		address := harness.FreeAddress(t)
		s.secure = "https://localhost" + address[strings.LastIndex(address, ":"):]
		caddyfile = strings.Replace(caddyfile, "{\n", "{\n\tskip_install_trust\n\tauto_https disable_redirects\n", 1)
		return strings.Replace(strings.Replace(caddyfile, "api.example.com {", s.secure+" {", 1), "\ttls {", "\ttls internal {", 1)
	default:
		return "\n" + caddyfile
	}
}

// writeKey puts the client's key where the examples have it.
func (s *stage) writeKey(t *testing.T) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.key.Private)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.folder, "orders.jwks.json"), tokentest.Set(s.key), 0o600); err != nil {
		t.Fatal(err)
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(s.folder, "client.pem"), content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func exampleFolders(t *testing.T) []string {
	t.Helper()
	entries, err := fs.ReadDir(os.DirFS(harness.Root()), "examples")
	if err != nil || len(entries) < len(examples)+1 {
		t.Fatalf("%d examples: %v", len(entries), err)
	}
	names := make([]string, 0, len(entries))
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(harness.Root(), "examples", entry.Name(), "README.md")); err != nil {
			t.Errorf("examples/%s has no README.md", entry.Name())
		}
		names = append(names, entry.Name())
	}
	return names
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", name, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// withoutPreface drops the comment above the global block, where the harness
// puts its own settings.
func withoutPreface(caddyfile string) string {
	return regexp.MustCompile(`\A(#.*\n)+`).ReplaceAllString(caddyfile, "")
}

// adaptText adapts a Caddyfile and returns the warnings.
func adaptText(t *testing.T, caddyfile string) []caddyconfig.Warning {
	t.Helper()
	_, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), nil)
	if err != nil {
		t.Errorf("adapting: %v\n%s", err, caddyfile)
	}
	return warnings
}
