package integration_test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// The gateway's own token, bound to its certificate, on the way to an upstream that
// is shown this certificate, another one, or none.
const mintedShown = `{
	storage file_system $FOLDER/storage
	gatehouse {
		issuer main $IDP {
			audience any
		}
		sign {
			issuer https://gateway.example
		}
		exchange shown {
			grant local
			audience shown
			bind mtls $FOLDER/cert $FOLDER/cert.key
		}
	}
}
(upstream) {
	reverse_proxy https://$UPSTREAM {
		transport {args[0]} {
			tls_trust_pool file $FOLDER/ca
			{block}
		}
	}
}
$SITE {
	token_auth
	token_exchange shown
	handle /ours {
		import upstream gatehouse {
			tls_client_auth $FOLDER/cert $FOLDER/cert.key
		}
	}
	handle /http {
		import upstream http {
			tls_client_auth $FOLDER/cert $FOLDER/cert.key
		}
	}
	handle /stranger {
		import upstream gatehouse {
			tls_client_auth $FOLDER/other $FOLDER/other.key
		}
	}
	handle /nobody {
		import upstream gatehouse
	}
}
`

// RFC 8705, section 3: the upstream wants a certificate, and finds its thumbprint in
// the token that was minted for it. Over any other connection the token is worth
// nothing.
func TestMintBoundToTheConnection(t *testing.T) {
	t.Parallel()
	w := newCertifiedWorld(t)
	w.service.TLS.ClientAuth = tls.RequireAnyClientCert
	gateway := harness.Start(t, mintedShown, "$IDP", w.idp.URL, "$FOLDER", w.folder, "$UPSTREAM", strings.TrimPrefix(w.service.URL, "https://"))
	token := w.idp.Token(nil)
	for _, path := range []string{"/ours", "/http"} {
		gateway.Await(path, token, http.StatusOK) // w.upstream compares cnf with what it is shown
		received := w.Last(t)
		_, claims := harness.Minted(t, w.folder+"/storage", received.Bearer())
		cnf, _ := claims["cnf"].(map[string]any)
		if cnf["x5t#S256"] != w.certificate.Thumbprint() || len(cnf) != 1 || received.Holds(token) {
			t.Errorf("%s: cnf %v", path, claims["cnf"])
		}
	}
	// Another certificate: the upstream refuses the token.
	gateway.Get("/stranger", token).Expect(t, http.StatusBadGateway)
	// None: its handshake fails, and it never sees the token.
	reached := len(w.Received())
	gateway.Get("/nobody", token).Expect(t, http.StatusBadGateway)
	if n := len(w.Received()) - reached; n != 0 {
		t.Errorf("%d requests reached the upstream without a certificate", n)
	}
}

// When the files change, the next token is bound to what they hold then, and the
// connection that brings it shows the same.
func TestMintBoundFollowsTheFiles(t *testing.T) {
	t.Parallel()
	w := newCertifiedWorld(t)
	gateway := harness.Start(t, mintedShown, "$IDP", w.idp.URL, "$FOLDER", w.folder, "$UPSTREAM", strings.TrimPrefix(w.service.URL, "https://"))
	token := w.idp.Token(nil)
	gateway.Await("/ours", token, http.StatusOK)
	next := harness.NewCertificate(t)
	w.show(next)
	harness.Eventually(t, "a token is bound to the new certificate", func() bool {
		gateway.Get("/ours", token).Expect(t, http.StatusOK)
		cnf, _ := harness.Claims(t, w.Last(t).Bearer())["cnf"].(map[string]any)
		return cnf["x5t#S256"] == next.Thumbprint()
	})
}
