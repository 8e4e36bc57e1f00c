package integration_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Doors for tokens that are more than plain JWTs. $DECRYPT is a key file.
const inspectedKinds = `{
	admin off
	gatehouse {
		issuer one $ONE {
			audience https://api.example.com
			introspection {
				client one
				prefix one_
			}
			decrypt $DECRYPT
		}
		issuer two $TWO {
			audience https://api.example.com
			introspection {
				client two
				prefix two_
				always
			}
		}
		issuer plain $PLAIN {
			audience https://api.example.com
		}
		client one {
			issuer one
			client_id gateway
			secret canary-client-secret
		}
		client two {
			issuer two
			client_id gateway
			secret canary-client-secret
		}
	}
}
http://127.0.0.1:9 {
	handle /both/* {
		token_auth one two
		respond ok
	}
	handle /plain/* {
		token_auth plain
		respond ok
	}
	handle /dpop/* {
		token_auth one {
			sender_constrained dpop
		}
		respond ok
	}
	handle /mtls/* {
		token_auth one {
			sender_constrained mtls
		}
		respond ok
	}
}
`

// The lines of the token_auths above.
const (
	atBoth  = "Caddyfile:37"
	atPlain = "Caddyfile:41"
	atDPoP  = "Caddyfile:45"
	atMTLS  = "Caddyfile:51"
)

type kindsRig struct {
	one, two, plain       *harness.AuthServer
	endpointOne, endpoint *harness.Introspection
	key                   *tokentest.Key
	caddyfile             string
}

func newKindsRig(t *testing.T) *kindsRig {
	t.Helper()
	r := &kindsRig{
		one: harness.NewAuthServer(t), two: harness.NewAuthServer(t), plain: harness.NewAuthServer(t),
		key: tokentest.NewKey(t, "RS256", ""),
	}
	r.endpointOne, r.endpoint = r.one.Introspects(t), r.two.Introspects(t)
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, r.key.PEM(t), 0o600); err != nil {
		t.Fatal(err)
	}
	r.caddyfile = strings.NewReplacer("$ONE", r.one.URL, "$TWO", r.two.URL, "$PLAIN", r.plain.URL, "$DECRYPT", file).Replace(inspectedKinds)
	return r
}

// expect runs inspect at one door and holds its page to what it must and must not
// hold.
func (r *kindsRig) expect(t *testing.T, at, token string, status int, holds ...string) string {
	t.Helper()
	got, out := inspect(t, r.caddyfile, token, "--at", at)
	if got != status {
		t.Errorf("exit status %d, want %d", got, status)
	}
	for _, text := range holds {
		if !strings.Contains(out, text) {
			t.Errorf("the page lacks %q", text)
		}
	}
	if strings.Contains(out, token) || strings.Contains(out, harness.ClientSecret) {
		t.Error("the page holds the token, or a secret")
	}
	if t.Failed() {
		t.Log(out)
	}
	return out
}

// An opaque token is named as one, and its own issuer is asked about it, nobody
// else.
func TestInspectOpaqueTokens(t *testing.T) {
	t.Parallel()
	r := newKindsRig(t)
	good := r.endpointOne.Issue("one_opaque-token", map[string]any{"exp": 4102444800, "note": "\u009b"})
	r.expect(t, atBoth, good, 0, "it is opaque", "issuer  "+r.one.URL, "asked   "+r.one.URL+", by introspection, since the token begins with \"one_\"",
		"it says, which is true only if every check is ok", "sub ", `"alice"`, "2100-01-01T00:00:00Z", `\u009b`,
		"ok          prefix", "ok          introspection", "ok          audience", "result: accepted")
	if one, two := len(r.endpointOne.Asked()), len(r.endpoint.Asked()); one != 1 || two != 0 {
		t.Errorf("the issuers were asked %d and %d times", one, two)
	}
	r.expect(t, atBoth, "one_unknown-token", 2, "asked   "+r.one.URL, "failed      introspection", "inactive", "not reached audience", "result: refused")
	wrong := r.endpointOne.Issue("one_wrong-token", map[string]any{"aud": "https://other.example.com"})
	r.expect(t, atBoth, wrong, 2, "ok          introspection", "failed      audience", "result: refused")
	r.expect(t, atBoth, "three_opaque-token", 2, "it is opaque", "issuer  none of", "failed      prefix", "nobody is asked", "not reached introspection")
	r.expect(t, atPlain, "opaque-token", 2, "it is opaque", "asked   nobody: no issuer of this token_auth has introspection", "failed      format")
	if one, two := len(r.endpointOne.Asked()), len(r.endpoint.Asked()); one != 3 || two != 0 {
		t.Errorf("the issuers were asked %d and %d times", one, two)
	}
	r.endpointOne.Answer(answering(http.StatusInternalServerError, "{}"))
	r.expect(t, atBoth, good, 3, "failed      introspection", "introspection_unavailable", "result: could not be checked")
}

// With always the issuer is asked about JWTs that pass every other check.
func TestInspectAlways(t *testing.T) {
	t.Parallel()
	r := newKindsRig(t)
	good := r.two.Token(nil)
	r.endpoint.Issue(good, map[string]any{"scope": "orders:now"})
	r.expect(t, atBoth, good, 0, "ok          signature", "asked   "+r.two.URL+", by introspection\n", "orders:now", "ok          introspection", "result: accepted")
	r.endpoint.Revoke(good)
	r.expect(t, atBoth, good, 2, "ok          signature", "failed      introspection", "result: refused")
	if asked := len(r.endpoint.Asked()); asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	r.expect(t, atBoth, r.two.Token(map[string]any{"exp": 1}), 2, "failed      expiry", "asked   nobody: "+r.two.URL, "not reached introspection")
	if asked := len(r.endpoint.Asked()); asked != 2 {
		t.Error("the issuer was shown a token that is bad")
	}
}

func TestInspectEncryptedTokens(t *testing.T) {
	t.Parallel()
	r := newKindsRig(t)
	seal := func(key *tokentest.Key, inner string) string {
		return tokentest.Encrypt(t, key.Private.Public(), nil, inner)
	}
	r.expect(t, atBoth, seal(r.key, r.one.Token(nil)), 0, "RSA-OAEP-256", "header of the token that was encrypted", "kid", "alice",
		"ok          decryption", "ok          signature", "result: accepted")
	r.expect(t, atBoth, seal(r.key, r.one.Token(map[string]any{"exp": 1})), 2, "ok          decryption", "failed      expiry", "result: refused")
	r.expect(t, atBoth, seal(tokentest.NewKey(t, "RS256", ""), r.one.Token(nil)), 2, "claims are encrypted", "failed      decryption", "undecryptable", "not reached signature")
	out := r.expect(t, atPlain, seal(r.key, r.plain.Token(nil)), 2, "claims are encrypted", "failed      decryption", "no issuer of this route has decrypt")
	if strings.Contains(out, "alice") {
		t.Error("what nobody may open was opened")
	}
	// All doors at once: the page shows what one of them could read.
	r.expect(t, "", seal(r.key, r.one.Token(nil)), 2, "alice", "result: accepted", "result: refused")
}

// A bound token needs a proof that only a request has: the page says so.
func TestInspectBoundTokens(t *testing.T) {
	t.Parallel()
	r := newKindsRig(t)
	holder, certificate := harness.NewHolder(t), harness.NewCertificate(t)
	byKey, byCertificate := r.one.Token(map[string]any{"cnf": holder.Binding()}), r.one.Token(map[string]any{"cnf": certificate.Binding()})
	jkt, _ := holder.Binding()["jkt"].(string)
	x5t, _ := certificate.Binding()["x5t#S256"].(string)
	r.expect(t, atBoth, byKey, 0, "bound   to the key "+jkt+" (cnf.jkt)", "a DPoP proof", "result: accepted, from whom it is bound to")
	r.expect(t, atBoth, byCertificate, 0, "bound   to the certificate "+x5t+" (cnf.x5t#S256)", "result: accepted, from whom it is bound to")
	r.expect(t, atDPoP, byKey, 0, "ok          sender_constrained", "result: accepted, from whom it is bound to")
	r.expect(t, atMTLS, byKey, 2, "failed      sender_constrained", "not_sender_constrained", "result: refused")
	r.expect(t, atMTLS, byCertificate, 0, "ok          sender_constrained")
	r.expect(t, atDPoP, r.one.Token(nil), 2, "failed      sender_constrained", "result: refused")
	r.expect(t, atBoth, r.one.Token(map[string]any{"cnf": map[string]any{"kid": "k"}}), 2, "failed      claims", "result: refused")
	// What the issuer says of an opaque token binds it as well.
	opaque := r.endpointOne.Issue("one_bound-token", map[string]any{"cnf": holder.Binding()})
	r.expect(t, atDPoP, opaque, 0, "cnf.jkt", "ok          sender_constrained", "result: accepted, from whom it is bound to")
	r.expect(t, atDPoP, "one_unknown-token", 2, "not reached sender_constrained")
}
