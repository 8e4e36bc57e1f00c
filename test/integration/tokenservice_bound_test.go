package integration_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const servedBound = `{
	skip_install_trust
	auto_https disable_redirects
	gatehouse {
		issuer main $IDP {
			audience orders
		}
		sign {
			issuer $SITE
		}
	}
}
(client) {
	client {args[0]} {
		auth {args[1:]}
		grants client_credentials token_exchange
		subject_issuer main
		subject_type access_token
		audience billing
		scope billing:read
	}
}
(service) {
	token_service {
		endpoints jwks metadata token
		dpop_nonce
		import client spiffe://example.com/orders tls spiffe://example.com/orders
		import client orders secret_hash $HASH
	}
}
$SITE {
	token_service {
		endpoints jwks metadata token
		dpop_nonce
		import client orders secret_hash $HASH
	}
	token_auth
	respond in
}
$VERIFIED {
	tls internal {
		client_auth {
			mode verify_if_given
			trust_pool file $CA
		}
	}
	import service
}
$ASKED {
	tls internal {
		client_auth {
			mode request
		}
	}
	import service
}
`

// A boundRig is a gateway with a token service that certificates reach.
type boundRig struct {
	*harness.Gateway

	idp             *harness.AuthServer
	authority       *harness.Authority
	verified, asked string
}

func startBound(t *testing.T) *boundRig {
	t.Helper()
	// Both on one server: what a site does not verify, another one on its port may.
	_, port, _ := strings.Cut(harness.FreeAddress(t), ":")
	r := &boundRig{
		idp: harness.NewAuthServer(t), authority: harness.NewAuthority(t),
		verified: "https://localhost:" + port, asked: "https://asked.localhost:" + port,
	}
	r.Gateway = harness.Start(t, servedBound, "$IDP", r.idp.URL, "$HASH", harness.ServiceHash(),
		"$CA", r.authority.File, "$VERIFIED", r.verified, "$ASKED", r.asked)
	r.Await("/", r.idp.Token(map[string]any{"aud": "orders"}), http.StatusOK)
	for _, site := range []string{r.verified, r.asked} {
		harness.Eventually(t, "the certificate is there", func() bool {
			answer, err := localClient().Get(site + "/")
			if err == nil {
				_ = answer.Body.Close()
			}
			return err == nil
		})
	}
	return r
}

// over sends a form over TLS.
func (r *boundRig) over(t *testing.T, site string, form url.Values, certificates ...tls.Certificate) harness.Answer {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, site+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return new(bench).overTLS(t, localClient(certificates...), request)
}

// localClient finds every host on this machine.
func localClient(certificates ...tls.Certificate) *http.Client {
	client := secureClient(false, certificates...)
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1"+address[strings.LastIndex(address, ":"):])
	}
	return client
}

const meshClient = "spiffe://example.com/orders"

// A workload proves itself by its SPIFFE ID, and its tokens are bound to its
// certificate.
func TestServiceCertificates(t *testing.T) {
	t.Parallel()
	r := startBound(t)
	mine, another := r.authority.Issue(meshClient), r.authority.Issue("spiffe://example.com/other")
	form := harness.ServiceForm(meshClient, "client_secret", "", "grant_type", "client_credentials")
	answer := r.over(t, r.verified, form, mine.Certificate).Expect(t, http.StatusOK)
	if diff := cmp.Diff(any(mine.Binding()), harness.Claims(t, answer.AccessToken())["cnf"]); diff != "" || answer.Members()["token_type"] != "Bearer" {
		t.Errorf("cnf (-want +got):\n%s", diff)
	}
	r.over(t, r.verified, form, another.Certificate).Expect(t, http.StatusUnauthorized)
	r.over(t, r.verified, form).Expect(t, http.StatusUnauthorized)
	// Where nobody verifies certificates anybody can make one with that name.
	r.over(t, r.asked, form, mine.Certificate).Expect(t, http.StatusUnauthorized)
	r.over(t, r.asked, form, harness.NewAuthority(t).Issue(meshClient).Certificate).Expect(t, http.StatusUnauthorized)
}

// S12: a token that is bound to a certificate is exchanged over its connection, and
// stays bound.
func TestS12CertificateBoundTokens(t *testing.T) {
	t.Parallel()
	r := startBound(t)
	mine, another := r.authority.Issue("spiffe://example.com/user"), r.authority.Issue("spiffe://example.com/thief")
	form := harness.ExchangeForm("orders", r.idp.Token(map[string]any{"aud": "orders", "scope": "billing:read", "cnf": mine.Binding()}))
	answer := r.over(t, r.verified, form, mine.Certificate).Expect(t, http.StatusOK)
	if diff := cmp.Diff(any(mine.Binding()), harness.Claims(t, answer.AccessToken())["cnf"]); diff != "" {
		t.Errorf("cnf (-want +got):\n%s", diff)
	}
	for name, certificates := range map[string][]tls.Certificate{"another": {another.Certificate}, "none": nil} {
		refused := r.over(t, r.verified, form, certificates...).Expect(t, http.StatusBadRequest)
		if refused.Members()["error_description"] != "A token is bound to a key that the client has not proved to hold." {
			t.Errorf("%s: %s", name, refused.Body)
		}
	}
}

// Proofs need the gateway's nonce; with it the token is bound to their key.
func TestServiceDPoPNonce(t *testing.T) {
	t.Parallel()
	r := startBound(t)
	holder := harness.NewHolder(t)
	endpoint := r.URL + "/oauth2/token"
	send := func(nonce string) harness.Answer {
		request := r.PostRequest("/oauth2/token", harness.ServiceForm("orders", "grant_type", "client_credentials"))
		request.Header.Set("DPoP", holder.Proof(http.MethodPost, endpoint, "", nonce))
		return r.Do(request)
	}
	refused := send("").Expect(t, http.StatusBadRequest)
	nonce := refused.Header.Get("DPoP-Nonce")
	if refused.Members()["error"] != "use_dpop_nonce" || nonce == "" {
		t.Fatalf("%s, nonce %q", refused.Body, nonce)
	}
	send("invented").Expect(t, http.StatusBadRequest)
	answer := send(nonce).Expect(t, http.StatusOK)
	if diff := cmp.Diff(any(holder.Binding()), harness.Claims(t, answer.AccessToken())["cnf"]); diff != "" || answer.Members()["token_type"] != "DPoP" {
		t.Errorf("cnf (-want +got):\n%s", diff)
	}
}
