package gatehouse

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// guestKey stands for a key in a device: nothing but its public half and its
// signatures ever leave it.
var guestKey = newDevice()

type device struct{ inside *ecdsa.PrivateKey }

func newDevice() device {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return device{key}
}

func (d device) Public() crypto.PublicKey { return d.inside.Public() }
func (d device) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.inside.Sign(random, digest, opts)
}

// A guest is a key module of somebody else's.
type guest struct {
	Slot string `json:"slot"`
}

func (*guest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "gatehouse.keys.guest", New: func() caddy.Module { return new(guest) }}
}

func (g *guest) SigningKey(context.Context) (authserver.SigningKey, error) {
	return authserver.SigningKey{Signer: guestKey, ID: g.Slot}, nil
}

// A guest module's key signs the assertions of private_key_jwt.
func TestKeyModuleOfAGuestSigns(t *testing.T) {
	caddy.RegisterModule((*guest)(nil))
	assertions := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assertions <- r.PostFormValue("client_assertion")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"t","token_type":"Bearer"}`)
	}))
	defer server.Close()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	app := &App{ctx: ctx, log: slog.New(slog.DiscardHandler), watched: make(map[string]bool)}
	defer func() { _ = app.Cleanup() }()
	client, err := app.client(&config.Client{
		TokenEndpoint: server.URL, ClientID: "gateway", Auth: config.AuthPrivateKeyJWT,
		KeyModuleRaw: []byte(`{"module":"guest","slot":"slot-7"}`),
		Assertion:    &config.Assertion{Audience: "https://idp.example"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Token(t.Context(), url.Values{"grant_type": {"client_credentials"}}); err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseJWS(<-assertions)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jose.NewKey(guestKey.Public(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := jws.VerifyWith(public, jose.ES256); err != nil || jws.Header.KeyID != "slot-7" {
		t.Errorf("kid %q: %v", jws.Header.KeyID, err)
	}
}

// What is no key module, or none at all, shows at load.
func TestKeyModuleMustGiveAKey(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	app := &App{ctx: ctx, log: slog.New(slog.DiscardHandler), watched: make(map[string]bool)}
	for _, raw := range []string{`{"module":"nobody"}`, `{"module":"file"}`, `{"module":"file","file":"/does/not/exist"}`, `{}`} {
		if _, err := app.keyModule(&config.Client{KeyModuleRaw: []byte(raw)}); err == nil {
			t.Errorf("%s is taken", raw)
		}
	}
}
