package proof_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

const target = "https://api.example.com/orders/7"

// newDPoP makes a checker with a store of its own.
func newDPoP(tb testing.TB, config proof.DPoPConfig) *proof.DPoP {
	tb.Helper()
	if config.Marks == nil {
		config.Marks = store.NewMemory(0)
	}
	checker, err := proof.NewDPoP(config)
	if err != nil {
		tb.Fatal(err)
	}
	return checker
}

// A client has a key and a token bound to it.
type client struct {
	key *tokentest.Key
	raw token.Raw
}

func newClient(tb testing.TB, alg string) client {
	tb.Helper()
	return client{key: tokentest.NewKey(tb, alg, ""), raw: token.NewRaw("a token of " + alg)}
}

func (c client) thumbprint(tb testing.TB) token.Thumbprint {
	tb.Helper()
	key, err := jose.NewKey(c.key.Private.Public(), "")
	if err != nil {
		tb.Fatal(err)
	}
	return key.Thumbprint()
}

var made int

// prove signs a good proof with changes; nil leaves a member out.
func (c client) prove(header, claims map[string]any) string {
	made++
	digest := c.raw.Digest()
	full := map[string]any{
		"jti": fmt.Sprint("id-", made), "htm": "GET", "htu": target, "iat": time.Now().Unix(),
		"ath": tokentest.Encode(digest[:]),
	}
	public := c.key.JWK()
	delete(public, "use")
	delete(public, "alg")
	head := map[string]any{"typ": "dpop+jwt", "jwk": public}
	maps.Copy(head, header)
	maps.Copy(full, claims)
	maps.DeleteFunc(full, func(_ string, value any) bool { return value == nil })
	return c.key.Sign(head, full)
}

func (c client) request(tb testing.TB, proofs ...string) proof.Request {
	tb.Helper()
	return proof.Request{
		Proofs: proofs, Method: "GET", URLs: []string{target + "?page=2"},
		Token: c.raw.Digest(), Key: c.thumbprint(tb),
	}
}

func with(members map[string]any, name string, value any) map[string]any {
	members[name] = value
	return members
}

func hashOf(raw token.Raw) string {
	digest := raw.Digest()
	return tokentest.Encode(digest[:])
}

// tamper changes the payload of a proof and keeps it well formed.
func tamper(text string) string {
	parts := strings.Split(text, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	parts[1] = tokentest.Encode([]byte(strings.Replace(string(payload), `"jti":"id-`, `"jti":"ID-`, 1)))
	return strings.Join(parts, ".")
}

// marks answers as it is told.
type marks struct{ err error }

func (m marks) Mark(context.Context, store.Purpose, string, time.Time) (bool, error) {
	return false, m.err
}
