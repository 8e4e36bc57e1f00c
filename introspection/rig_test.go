package introspection

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	clientID     = "gateway"
	clientSecret = "CANARY-secret"
	goodToken    = "opaque_CANARY-good"
	// As op of zitadel/oidc makes references: {"alg":"A256GCMKW", its own business.
	sealedToken = "eyJhbGciOiJBMjU2R0NNS1ciLCJlbmMiOiJBMjU2R0NNIn0.CANARY.CANARY.CANARY.CANARY"
)

// A rig is an introspector and the real server that it asks, on loopback.
type rig struct {
	*Introspector

	issuer *tokentest.Issuer
	key    *tokentest.Key
	state  *State

	mu      sync.Mutex
	forms   []url.Values
	accepts []string
	answer  http.HandlerFunc
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{key: tokentest.NewKey(t, "ES256", "k1")}
	r.issuer = tokentest.NewIssuer(t, r.key)
	r.answers(r.active(nil))
	r.issuer.Handle("/introspect", r.serve)
	r.issuer.Handle("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(tokentest.JSON(map[string]any{
			"issuer": r.issuer.URL, "introspection_endpoint": r.issuer.URL + "/introspect",
			"introspection_signing_alg_values_supported": []string{"ES256"},
		}))
	})
	r.state = NewState(1000, 1<<20)
	t.Cleanup(r.state.Close)
	r.Introspector = r.introspector(t, change)
	return r
}

func (r *rig) introspector(t *testing.T, change func(*Config)) *Introspector {
	t.Helper()
	server, err := authserver.NewServer(authserver.ServerOptions{Issuer: r.issuer.URL})
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Issuer: r.issuer.URL, State: r.state, CacheTTL: DefaultCacheTTL}
	if change != nil {
		change(&config)
	}
	client, err := authserver.NewClient(authserver.ClientOptions{
		ID: clientID, Auth: authserver.Basic(authserver.NewSecret(clientSecret)), Server: server,
		Timeout: time.Minute, Now: config.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	t.Cleanup(client.Close)
	config.Client = client
	made, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// serve is as strict as RFC 7662, section 2.1.
func (r *rig) serve(w http.ResponseWriter, request *http.Request) {
	_ = request.ParseForm()
	id, secret, _ := request.BasicAuth()
	if request.Method != http.MethodPost || request.URL.RawQuery != "" || id != clientID || secret != clientSecret ||
		request.PostForm.Get("token_type_hint") != "access_token" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	r.forms = append(r.forms, request.PostForm)
	r.accepts = append(r.accepts, request.Header.Get("Accept"))
	answer := r.answer
	r.mu.Unlock()
	answer(w, request)
}

func (r *rig) answers(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *rig) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.forms)
}

// active is a good answer with changes; a nil value leaves a member out.
func (r *rig) active(changes map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(r.members(changes))
	}
}

func (r *rig) members(changes map[string]any) map[string]any {
	members := r.issuer.Claims(map[string]any{"active": true})
	for name, value := range changes {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
	return members
}

// signed is a signed answer (RFC 9701) with changes to the JWT around it.
func (r *rig) signed(key *tokentest.Key, header, changes map[string]any) http.HandlerFunc {
	outer := map[string]any{
		"iss": r.issuer.URL, "aud": clientID, "iat": time.Now().Unix(), "token_introspection": r.members(nil),
	}
	for name, value := range changes {
		outer[name] = value
		if value == nil {
			delete(outer, name)
		}
	}
	full := map[string]any{"typ": typeSigned}
	maps.Copy(full, header)
	return raw(mediaSigned, key.Sign(full, outer))
}

func raw(media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		_, _ = io.WriteString(w, body)
	}
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// published are the keys of the rig's issuer.
type published struct{ set jose.KeySet }

func (r *rig) keys(t *testing.T) published {
	t.Helper()
	set, err := jose.ParseKeySet(tokentest.Set(r.key))
	if err != nil {
		t.Fatal(err)
	}
	return published{set}
}

func (p published) Find(context.Context, string, jose.Algorithm) ([]*jose.Key, error) {
	return p.set.Keys, nil
}

func (r *rig) ask(t *testing.T, text string) (*token.Token, error) {
	t.Helper()
	return r.Introspect(t.Context(), token.NewRaw(text), nil)
}
