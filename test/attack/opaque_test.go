package attack_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const asking = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
			introspection {
				client gateway
				cache_ttl 0s
			}
			decrypt $KEY
		}
		client gateway {
			issuer main
			client_id gateway
			secret canary-client-secret
		}
	}
}
$SITE {
	token_auth
	respond ok
}
`

// A den is a gateway that asks its issuer, and opens what is encrypted to its key.
type den struct {
	*harness.Gateway

	idp      *harness.AuthServer
	endpoint *harness.Introspection
	key      *tokentest.Key
}

func newDen(t *testing.T) *den {
	t.Helper()
	d := &den{idp: harness.NewAuthServer(t), key: tokentest.NewKey(t, "RS256", "")}
	d.endpoint = d.idp.Introspects(t)
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, d.key.PEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Gateway = harness.Start(t, asking, "$IDP", d.idp.URL, "$KEY", file)
	d.Await("/", d.sealed(t, nil), http.StatusOK)
	return d
}

func (d *den) sealed(t *testing.T, header map[string]any) string {
	t.Helper()
	return tokentest.Encrypt(t, d.key.Private.Public(), header, d.idp.Token(nil))
}

// A password whose cost the sender chooses is not derived from.
func TestAttack22PasswordCost(t *testing.T) {
	d := newDen(t)
	for _, header := range []map[string]any{
		{"alg": "PBES2-HS256+A128KW", "p2c": 1_000_000_000, "p2s": "AAAAAAAAAAA"},
		{"p2c": 1_000_000_000},
		{"alg": "RSA1_5"},
		{"alg": "dir"},
	} {
		d.Get("/", d.sealed(t, header)).Expect(t, http.StatusUnauthorized)
	}
}

// What is small on the wire and huge in memory is not unpacked.
func TestAttack23Compressed(t *testing.T) {
	d := newDen(t)
	for _, zip := range []any{"DEF", "", nil, 1} {
		want := http.StatusUnauthorized
		if zip == nil {
			want = http.StatusOK // the member is not there
		}
		d.Get("/", d.sealed(t, map[string]any{"zip": zip})).Expect(t, want)
	}
}

// A redirect shows token and secret to nobody, and what cannot be asked lets nobody
// in.
func TestAttack33IntrospectionRedirect(t *testing.T) {
	d, trap := newDen(t), harness.NewAuthServer(t)
	seen := trap.Introspects(t)
	token := d.endpoint.Issue("opaque", nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		d.endpoint.Answer(http.RedirectHandler(trap.URL+"/introspect", status).ServeHTTP)
		d.Get("/", token).Expect(t, http.StatusServiceUnavailable)
	}
	if trap.Hits("/introspect") != 0 || len(seen.Asked()) != 0 {
		t.Error("the token went elsewhere")
	}
}

// A server that breaks after the whole question is not asked it again.
func TestAttack34BrokenAfterTheBody(t *testing.T) {
	d := newDen(t)
	token := d.endpoint.Issue("opaque", nil)
	d.endpoint.Answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	d.Get("/", token).Expect(t, http.StatusServiceUnavailable)
	if asked := d.idp.Hits("/introspect"); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// An issuer that cannot be asked lets in nobody whom it would not have let in.
func TestAttack35IssuerCannotBeAsked(t *testing.T) {
	d := newDen(t)
	token := d.endpoint.Issue("opaque", nil)
	d.Get("/", token).Expect(t, http.StatusOK)
	d.idp.Fail(http.StatusInternalServerError)
	for range 8 {
		d.Get("/", token).Expect(t, http.StatusServiceUnavailable)
		d.Get("/", "made-up").Expect(t, http.StatusServiceUnavailable)
	}
}
