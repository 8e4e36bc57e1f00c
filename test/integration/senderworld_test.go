package integration_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// sender are three sites with a route for each way to constrain senders: an open
// one, one whose neighbours are trusted proxies, and one with TLS.
const sender = `{
	skip_install_trust
	auto_https disable_redirects
	servers $PROXIED_PORT {
		trusted_proxies static 127.0.0.1/32
	}
	gatehouse {
		issuer main $IDP {
			audience any
		}
		policy bound {
			sender_constrained
		}
	}
}
(routes) {
	handle_path /dpop/* {
		token_auth {
			sender_constrained dpop
		}
		import in
	}
	handle /mtls/* {
		token_auth {
			sender_constrained mtls
		}
		import in
	}
	handle /either/* {
		token_auth {
			sender_constrained
		}
		import in
	}
	handle /nonce/* {
		token_auth {
			dpop_nonce
		}
		token_require @admin scope orders:admin
		import in
	}
	handle /optional/* {
		token_auth {
			optional
		}
		import in
	}
	handle /rule/* {
		token_auth
		token_require policy bound
		import in
	}
	handle /rule-mtls/* {
		token_auth
		token_require sender_constrained mtls
		import in
	}
	handle /matched/* {
		token_auth
		@key token sender_constrained dpop
		respond @key "bound"
		respond "plain"
	}
	handle /forward/* {
		token_auth {
			forward_token
			client_certificate Client-Cert
		}
		import in
	}
	handle /cert/* {
		token_auth {
			client_certificate Client-Cert
		}
		import in
	}
	handle /public/* {
		token_auth {
			public_url https://api.example.com/v1 https://api.example.net
		}
		import in
	}
	handle {
		token_auth
		import in
	}
}
(in) {
	@admin path */admin
	reverse_proxy $UPSTREAM
}
$SITE {
	rewrite /rewritten/* /elsewhere
	method /rewritten/* POST
	import routes
}
$PROXIED {
	import routes
}
$SECURE {
	tls internal {
		client_auth {
			mode request
		}
	}
	import routes
}
`

const algorithms = `algs="RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519"`

// The challenges of a route that accepts both schemes, or one.
const (
	offersBearer = `Bearer realm="gatehouse"`
	offersDPoP   = `DPoP realm="gatehouse", ` + algorithms
	badBearer    = `Bearer realm="gatehouse", error="invalid_token", error_description="The access token is not valid for this API."`
	badDPoP      = `DPoP realm="gatehouse", error="invalid_token", error_description="The access token is not valid for this API.", ` + algorithms
	badProof     = `DPoP realm="gatehouse", error="invalid_dpop_proof", error_description="The DPoP proof is missing or not valid for this request.", ` + algorithms
	needsNonce   = `DPoP realm="gatehouse", error="use_dpop_nonce", error_description="The DPoP proof needs the nonce of the DPoP-Nonce header.", ` + algorithms
)

// A bench is the site with everything around it.
type bench struct {
	*harness.Gateway

	idp      *harness.AuthServer
	upstream *harness.Upstream
	holder   *harness.Holder
	proxied  string // where a proxy in front is trusted
	secure   string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t), holder: harness.NewHolder(t)}
	b.proxied = "http://" + harness.FreeAddress(t)
	secure := harness.FreeAddress(t)
	b.secure = "https://localhost" + secure[strings.LastIndex(secure, ":"):]
	b.Gateway = harness.Start(t, sender, "$IDP", b.idp.URL, "$UPSTREAM", b.upstream.Address,
		"$PROXIED_PORT", b.proxied[strings.LastIndex(b.proxied, ":"):], "$PROXIED", b.proxied, "$SECURE", b.secure)
	b.Await("/", b.idp.Token(nil), http.StatusOK)
	return b
}

// bound is a token that is bound to the holder's key, with changes.
func (b *bench) bound(changes map[string]any) string {
	all := map[string]any{"cnf": b.holder.Binding()}
	maps.Copy(all, changes)
	return b.idp.Token(all)
}

// proved is a good request with a bound token.
func (b *bench) proved(path string) *http.Request {
	return b.holder.Prove(b.Request(http.MethodGet, path, ""), b.URL+path, b.bound(nil), "")
}

// proof is a good one with changes, signed by the holder; nil leaves a claim out.
func (b *bench) proof(t *testing.T, path, token string, changes map[string]any) string {
	t.Helper()
	claims := harness.Claims(t, b.holder.Proof(http.MethodGet, b.URL+path, token, ""))
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	return b.holder.Key.Sign(map[string]any{"typ": "dpop+jwt", "jwk": publicJWK(b.holder.Key)}, claims)
}

func publicJWK(key *tokentest.Key) map[string]any {
	public := key.JWK()
	for _, name := range []string{"use", "alg", "kid"} {
		delete(public, name)
	}
	return public
}

func (b *bench) expectRefused(t *testing.T, request *http.Request, challenges ...string) harness.Answer {
	t.Helper()
	reached := len(b.upstream.Received())
	answer := b.Do(request).Expect(t, http.StatusUnauthorized)
	expectHeader(t, answer, "WWW-Authenticate", challenges...)
	expectHeader(t, answer, "Cache-Control", "no-store")
	if len(b.upstream.Received()) != reached {
		t.Error("the upstream was reached")
	}
	return answer
}
