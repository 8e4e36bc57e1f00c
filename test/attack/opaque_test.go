package attack_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const asking = `{
	servers {
		max_header_size 20MB
	}
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

// A token that is encrypted to the gateway's own key, and whose content grows a
// thousandfold when it is inflated: as large a one as is looked at, and a gigabyte,
// which is too long for a token even so. What the gateway's heap ever had from the
// system, and all it allocated, stay far below what either holds.
func TestAttack23EncryptedBomb(t *testing.T) {
	d := newDen(t)
	const (
		most  = 64 << 20 // bytes of heap
		large = 8 << 20  // zeros whose token is just not too long
	)
	bomb := func(size int) string {
		return tokentest.Encrypt(t, d.key.Private.Public(), map[string]any{"zip": "DEF"}, tokentest.CompressedZeros(t, size))
	}
	before := heapOf(t, d.Gateway)
	for range 20 {
		d.Get("/", bomb(large)).Expect(t, http.StatusUnauthorized)
	}
	d.Get("/", bomb(1<<30)).Expect(t, http.StatusBadRequest)
	after := heapOf(t, d.Gateway)
	allocated, taken := after.allocated-before.allocated, after.taken-before.taken
	t.Logf("%d KiB allocated, %d KiB taken from the system", allocated>>10, taken>>10)
	if allocated > most || taken > most {
		t.Errorf("%d MiB allocated, %d MiB taken from the system; at most %d are expected", allocated>>20, taken>>20, most>>20)
	}
	harness.Eventually(t, "the audit trail says why", func() bool {
		lines := d.Audit()
		return len(lines) > 20 && lines[0]["rule"] == "undecryptable"
	})
	d.Get("/", d.sealed(t, nil)).Expect(t, http.StatusOK)
}

// A heapSize is what never shrinks of a gateway's heap, so that no collection of
// garbage hides what was there for a moment.
type heapSize struct{ allocated, taken int64 }

func heapOf(t *testing.T, gateway *harness.Gateway) heapSize {
	t.Helper()
	metrics := gateway.Metrics()
	return heapSize{
		allocated: metricOf(t, metrics, "go_memstats_alloc_bytes_total"),
		taken:     metricOf(t, metrics, "go_memstats_heap_sys_bytes"),
	}
}

// metricOf is the value of a metric without labels.
func metricOf(t *testing.T, metrics, name string) int64 {
	t.Helper()
	_, rest, found := strings.Cut(metrics, "\n"+name+" ")
	text, _, _ := strings.Cut(rest, "\n")
	value, err := strconv.ParseFloat(text, 64)
	if !found || err != nil {
		t.Fatalf("the metrics do not tell %s", name)
	}
	return int64(value)
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
