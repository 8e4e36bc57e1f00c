//go:build interop

package keycloak

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A key of the realm rotates as its administrator does it: a new one with a higher
// priority, the old one passive, and then gone. No good token is refused, and when
// the old key is gone its tokens go with it.
func TestKeyRotation(t *testing.T) {
	r := newRealm(t)
	gateway := r.gateway(validating, harness.NewUpstream(t), "$WORDS", "jwks_refresh 1s")
	before := r.token("web", "alice", "")
	gateway.Await("/", before, http.StatusOK)

	// In the background as others go on calling.
	stop, refused := make(chan struct{}), make(chan string, 1)
	go func() {
		defer close(refused)
		for {
			select {
			case <-stop:
				return
			default:
			}
			if got := gateway.Get("/", before); got.Status != http.StatusOK {
				refused <- fmt.Sprint(got.Status, got.Body)
				return
			}
		}
	}()
	old := r.key("rsa")
	r.administer(http.MethodPost, r.components(), []byte(`{"name":"rsa-2","providerId":"rsa-generated",
		"providerType":"org.keycloak.keys.KeyProvider","config":{"priority":["200"],"algorithm":["RS256"]}}`), http.StatusCreated)
	after := r.token("web", "alice", "")
	if harness.Header(t, after)["kid"] == harness.Header(t, before)["kid"] {
		t.Fatal("Keycloak signs with the old key")
	}
	gateway.Get("/", after).Expect(t, http.StatusOK) // at once: the key set is asked for anew
	old["config"].(map[string]any)["active"] = []string{"false"}
	body, err := json.Marshal(old)
	if err != nil {
		t.Fatal(err)
	}
	r.administer(http.MethodPut, r.components()+"/"+old["id"].(string), body, http.StatusNoContent)
	gateway.Get("/", r.token("web", "alice", "")).Expect(t, http.StatusOK)
	close(stop)
	if text := <-refused; text != "" {
		t.Errorf("a good request was refused: %s", text)
	}

	r.administer(http.MethodDelete, r.components()+"/"+old["id"].(string), nil, http.StatusNoContent)
	gateway.Await("/", before, http.StatusUnauthorized)
	gateway.Get("/", after).Expect(t, http.StatusOK)
}

// components is where the admin API has the realm's keys.
func (r *realm) components() string { return keycloak.url + "/admin/realms/" + r.name + "/components" }

// key is a key provider by its name in realm.json.
func (r *realm) key(name string) map[string]any {
	r.t.Helper()
	found := r.administer(http.MethodGet, r.components()+"?name="+name+"&type=org.keycloak.keys.KeyProvider", nil, http.StatusOK)
	var providers []map[string]any
	if err := json.Unmarshal([]byte(found.Body), &providers); err != nil || len(providers) != 1 {
		r.t.Fatalf("keys %q: %v", found.Body, err)
	}
	return providers[0]
}
