package integration_test

import (
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const mintIssuer = "https://gateway.example"

// Every way to mint, each on a route of its own.
const mintCaddyfile = `{
	storage file_system $STORAGE
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
		sign {
			issuer https://gateway.example
			$SUBJECT
		}
		seal 0123456789abcdef0123456789abcdef-canary
		exchange orders {
			grant local
			audience orders
			scope orders:read orders:write
			scope_map orders:write write
			claim tenant org.tenant
			claim app client_id
		}
		exchange fresh {
			grant local
			resource https://stock.example
			actor none
			lifetime 30s
			cache_entries off
		}
		exchange public {
			grant local
			audience public
			scope_exact catalogue:read
			anonymous
		}
		exchange transaction {
			grant local
			type txn
			audience https://trust.example
			scope orders:read
			claim tenant org.tenant
		}
		exchange shown {
			grant local
			audience shown
			bind mtls $CERT $KEY
		}
		exchange proved {
			grant local
			audience proved
			bind dpop
		}
	}
}
$SITE {
	token_auth main {
		optional
	}
	handle /orders/* {
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /fresh/* {
		token_exchange fresh
		reverse_proxy $UPSTREAM
	}
	handle /public/* {
		token_exchange public
		reverse_proxy $UPSTREAM
	}
	handle /txn/* {
		token_exchange transaction
		reverse_proxy $UPSTREAM
	}
	handle /both/* {
		token_exchange orders
		token_exchange transaction
		reverse_proxy $UPSTREAM
	}
	handle /shown/* {
		token_exchange shown
		reverse_proxy $UPSTREAM
	}
	handle /proved/* {
		token_exchange proved
		reverse_proxy $UPSTREAM {
			transport gatehouse
		}
	}
	handle /shadow/* {
		token_require {
			scope nobody:holds
			shadow
		}
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
}
`

// A mintBench is a gateway that mints.
type mintBench struct {
	*harness.Gateway

	idp         *harness.AuthServer
	upstream    *harness.Upstream
	certificate harness.Certificate
	storage     string
}

func newMintBench(t *testing.T, subject string) *mintBench {
	t.Helper()
	b := &mintBench{
		idp: harness.NewAuthServer(t), upstream: harness.NewUpstream(t),
		certificate: harness.NewCertificate(t), storage: t.TempDir(),
	}
	cert, key := writeCertificate(t, b.certificate)
	b.Gateway = harness.Start(t, mintCaddyfile, "$IDP", b.idp.URL, "$UPSTREAM", b.upstream.Address, "$SUBJECT", subject,
		"$STORAGE", b.storage, "$CERT", cert, "$KEY", key)
	b.Await("/orders/", b.caller(nil), http.StatusOK)
	return b
}

func writeCertificate(t *testing.T, certificate harness.Certificate) (cert, key string) {
	t.Helper()
	folder := t.TempDir()
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: certificate.DER()}, key: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// caller is a token of a user's, with changes.
func (b *mintBench) caller(changes map[string]any) string {
	all := map[string]any{"scope": "orders:read orders:write profile", "org": map[string]any{"tenant": "acme"}, "acr": "silver"}
	maps.Copy(all, changes)
	return b.idp.Token(all)
}

// minted is what the upstream gets of a caller.
func (b *mintBench) minted(t *testing.T, path, token string) (jose.Header, map[string]any) {
	t.Helper()
	b.Get(path, token).Expect(t, http.StatusOK)
	received := b.upstream.Last(t)
	if received.Holds(token) {
		t.Error("the caller's token reached the upstream")
	}
	return harness.Minted(t, b.storage, received.Bearer())
}
