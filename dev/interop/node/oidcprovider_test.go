//go:build interop

package node_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/dev/interop/node"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func TestOIDCProvider(t *testing.T) {
	w := start(t)
	for form, resource := range both {
		t.Run(form, func(t *testing.T) {
			t.Run("a person", func(t *testing.T) { w.person(t, form, resource) })
			t.Run("a machine", func(t *testing.T) {
				w.Get("/", w.provider.Machine(resource, "orders:read")).Expect(t, http.StatusOK)
			})
			t.Run("less scope", func(t *testing.T) { w.lessScope(t, resource) })
			t.Run("DPoP", func(t *testing.T) { w.dpop(t, resource) })
			t.Run("mTLS", func(t *testing.T) { w.mtls(t, resource) })
		})
	}
	t.Run("wrong audience", func(t *testing.T) {
		w.refuses(t, w.provider.Machine(other, "orders:read"), "wrong_audience")
	})
	t.Run("revoked", w.revoked)
	t.Run("never issued", func(t *testing.T) { w.refuses(t, "never-issued", "inactive") })
	t.Run("the gateway's own token", w.ownToken)
	t.Run("unknown target", w.unknownTarget)
}

// person signs in, and the upstream gets another token for the same person.
func (w *world) person(t *testing.T, form, resource string) {
	t.Helper()
	token := w.provider.User("alice", resource, "orders:read orders:write")
	if isJWT := strings.Count(token, ".") == 2; isJWT != (form == "jwt") {
		t.Fatalf("a token of the wrong form: %d dots", strings.Count(token, "."))
	}
	w.Get("/orders/1", token).Expect(t, http.StatusOK)
	got := w.upstream.Last(t)
	claims := harness.Claims(t, got.Bearer())
	if claims["aud"] != orders || claims["sub"] != "alice" || claims["scope"] != "orders:read" || claims["client_id"] != "gateway" {
		t.Errorf("the upstream got %v", claims)
	}
	if got.Holds(token) {
		t.Error("the upstream got the caller's token")
	}
}

func (w *world) lessScope(t *testing.T, resource string) {
	t.Helper()
	answer := w.Get("/orders/1", w.provider.User("alice", resource, "orders:write")).Expect(t, http.StatusForbidden)
	if got := answer.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) || !strings.Contains(got, `scope="orders:read"`) {
		t.Errorf("WWW-Authenticate = %q", got)
	}
}

// dpop presents a token that is bound to a key: with the provider's nonce where
// it is issued and with the gateway's where it is used.
func (w *world) dpop(t *testing.T, resource string) {
	t.Helper()
	holder, thief := harness.NewHolder(t), harness.NewHolder(t)
	token := w.provider.Bound(holder, resource, "orders:read")
	const path = "/dpop/1"
	ask := func(by *harness.Holder, nonce string) *http.Request {
		return by.Prove(w.Request(http.MethodGet, path, ""), w.URL+path, token, nonce)
	}
	first := w.Do(ask(holder, "")).Expect(t, http.StatusUnauthorized)
	nonce := first.Header.Get("DPoP-Nonce")
	if !strings.Contains(first.Header.Get("WWW-Authenticate"), `error="use_dpop_nonce"`) || nonce == "" {
		t.Fatalf("without a nonce: %v", first.Header)
	}
	good := ask(holder, nonce)
	w.Do(good).Expect(t, http.StatusOK)
	w.Do(good.Clone(t.Context())).Expect(t, http.StatusUnauthorized) // a replay
	w.Do(ask(thief, nonce)).Expect(t, http.StatusUnauthorized)
	w.Get(path, token).Expect(t, http.StatusUnauthorized)
	w.refuses(t, token, "bound_as_bearer")
}

// mtls presents a token that is bound to a certificate.
func (w *world) mtls(t *testing.T, resource string) {
	t.Helper()
	mine, another := harness.NewCertificate(t), harness.NewCertificate(t)
	token := w.provider.Certified(mine, resource, "orders:read")
	w.certified(t, "/mtls/1", token, mine.Certificate).Expect(t, http.StatusOK)
	w.certified(t, "/mtls/1", token, another.Certificate).Expect(t, http.StatusUnauthorized)
	w.certified(t, "/mtls/1", token).Expect(t, http.StatusUnauthorized)
	w.certified(t, "/", token).Expect(t, http.StatusUnauthorized)
	plain := w.provider.Machine(resource, "orders:read")
	w.certified(t, "/mtls/1", plain, mine.Certificate).Expect(t, http.StatusUnauthorized)
}

// revoked is good until it is revoked, and for cache_ttl at most after that.
func (w *world) revoked(t *testing.T) {
	token := w.provider.Machine(opaque, "orders:read")
	w.Get("/", token).Expect(t, http.StatusOK)
	w.provider.Revoke(token)
	w.Await("/", token, http.StatusUnauthorized)
	w.refuses(t, token, "inactive")
}

// ownToken is one that the gateway gets for itself. The provider binds it to the
// gateway's key, and only once the proof has the provider's nonce.
func (w *world) ownToken(t *testing.T) {
	w.Get("/reports/1", w.provider.Machine(jwt, "orders:read")).Expect(t, http.StatusOK)
	got := w.upstream.Last(t)
	token, bound := strings.CutPrefix(got.Header.Get("Authorization"), "DPoP ")
	if !bound || got.Header.Get("DPoP") == "" {
		t.Fatalf("the upstream got %v", got.Header)
	}
	claims := harness.Claims(t, token)
	if cnf, _ := claims["cnf"].(map[string]any); claims["aud"] != orders || claims["sub"] != "gateway" || cnf["jkt"] == nil {
		t.Errorf("the upstream got %v", claims)
	}
}

// unknownTarget is refused by the provider: the operator's fault, not the caller's.
func (w *world) unknownTarget(t *testing.T) {
	answer := w.Get("/nowhere/1", w.provider.User("alice", jwt, "orders:read")).Expect(t, http.StatusBadGateway)
	if strings.Contains(answer.Body, "invalid_target") {
		t.Errorf("the provider's words reached the caller: %s", answer.Body)
	}
}

// The provider can sign with the client's secret. Such an answer proves nothing
// to a gateway that believes the issuer's keys, so the token is not judged by it.
func TestSignedWithASecret(t *testing.T) {
	w := start(t, "client_id gateway", "client_id gateway-hs")
	lines := len(w.Audit())
	w.Get("/", w.provider.Machine(opaque, "orders:read")).Expect(t, http.StatusServiceUnavailable)
	w.denied(t, lines, "introspection_unavailable")
}

// With a URL the gateway asks for no signature, and the provider gives none.
func TestPlainAnswers(t *testing.T) {
	w := start(t, "introspection {", "introspection $ISSUER/token/introspection {")
	w.Get("/", w.provider.Machine(opaque, "orders:read")).Expect(t, http.StatusOK)
	w.refuses(t, w.provider.Machine(other, "orders:read"), "wrong_audience")
	w.refuses(t, "never-issued", "inactive")
}

// The provider answers no questions about JWTs: it refuses them with 400. Where
// the gateway is to ask about each token, its JWTs are refused, never let pass.
func TestAlways(t *testing.T) {
	w := startWith(t, node.NewProvider(t, resources), "introspection {", "introspection {\n\t\t\t\talways")
	w.Await("/", w.provider.Machine(opaque, "orders:read"), http.StatusOK)
	w.refuses(t, w.provider.Machine(jwt, "orders:read"), "inactive")
}
