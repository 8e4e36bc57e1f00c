package attack_test

import (
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// serviceCaddyfile is a token service under attack.
const serviceCaddyfile = `{
	debug
	gatehouse {
		issuer a $ISSUER_A {
			audience orders
		}
		issuer b $ISSUER_B {
			audience orders
		}
		issuer self $SITE {
			audience https://billing.example.com
			token_type at+jwt
		}
		sign {
			issuer $SITE
			subject issuer_scoped
		}
	}
}
(full) {
	grants client_credentials token_exchange
	subject_type access_token
	audience https://billing.example.com stock
	scope billing:read orders:read
}
$SITE {
	token_service {
		endpoints jwks metadata token introspect revoke
		client orders {
			auth secret_hash $HASH
			subject_issuer a
			import full
		}
		client both {
			auth secret_hash $HASH
			subject_issuer a b $SITE
			import full
		}
		client keyed {
			auth private_key_jwt $KEYS
			subject_issuer a
			import full
		}
		client keyed|2 {
			auth private_key_jwt $KEYS
			subject_issuer a
			import full
		}
		client phantom {
			auth secret_hash $HASH
			subject_issuer a
			import full
			opaque
		}
		client greedy {
			auth secret_hash $HASH
			subject_issuer a
			import full
			opaque
		}
	}
	handle /front/* {
		token_auth a {
			audience https://billing.example.com
		}
		respond in
	}
	handle /self/* {
		token_auth self
		respond in
	}
}
`

// A service is a gateway with a token service, and those around it.
type service struct {
	t       testing.TB
	gateway *harness.Gateway
	a, b    *harness.AuthServer
	keyed   *tokentest.Key // of the clients keyed and keyed|2
	thief   *tokentest.Key
	trap    *trap
	end     func() bool
}

var sharedService struct {
	once    sync.Once
	service *service
}

// serving returns the token service that all tests share.
func serving(t *testing.T) *service {
	t.Helper()
	sharedService.once.Do(func() { sharedService.service = newService(new(lifetime)) })
	if sharedService.service == nil {
		t.Fatal("the shared token service did not start")
	}
	view := *sharedService.service
	view.t = t
	return &view
}

// aReference is the reference of an opaque token, which is longer than the random names
// of tokens: among thousands of those in the log one holds "ghr_" by chance.
var aReference = regexp.MustCompile(`ghr_[A-Za-z0-9_-]{43}`)

func newService(life *lifetime) *service {
	s := &service{
		t: life, a: harness.NewAuthServer(life), b: harness.NewAuthServer(life),
		keyed: tokentest.NewKey(life, "ES256", "keyed-1"), thief: tokentest.NewKey(life, "ES256", "k1"),
	}
	s.trap = newTrap(life, s.thief)
	file := filepath.Join(life.TempDir(), "keys.json")
	if err := os.WriteFile(file, tokentest.Set(s.keyed), 0o600); err != nil {
		life.Fatal(err)
	}
	s.gateway = harness.Start(life, serviceCaddyfile,
		"$ISSUER_A", s.a.URL, "$ISSUER_B", s.b.URL, "$HASH", harness.ServiceHash(), "$KEYS", file)
	for _, issuer := range []*harness.AuthServer{s.a, s.b} {
		harness.Eventually(life, "the keys of an issuer", func() bool {
			return s.exchange("both", issuer.Token(map[string]any{"aud": "both"})).Status == http.StatusOK
		})
	}
	s.end = func() bool {
		log := s.gateway.Log()
		if at := harness.PartOfToken.FindStringIndex(log); at != nil {
			s.t.Errorf("after all tests the log holds a part of a token: %s", log[max(0, at[0]-300):at[1]])
		}
		if strings.Contains(log, harness.ServiceSecret) || aReference.MatchString(log) {
			s.t.Errorf("after all tests the log holds a secret")
		}
		return life.end()
	}
	return s
}

// exchange asks for a token for billing in exchange for a subject's.
func (s *service) exchange(client, subject string, pairs ...string) harness.Answer {
	s.t.Helper()
	pairs = append([]string{"audience", "https://billing.example.com"}, pairs...)
	return s.gateway.Post("/oauth2/token", harness.ExchangeForm(client, subject, pairs...))
}

// subject is a token of alice's, sent to the client orders, with changes.
func (s *service) subject(changes map[string]any) string { return s.a.Key.Sign(nil, s.claims(changes)) }

func (s *service) claims(changes map[string]any) map[string]any {
	all := map[string]any{"aud": "orders", "scope": "billing:read", "jti": rand.Text()}
	maps.Copy(all, changes)
	return s.a.Claims(all)
}

// granted expects a token, and returns it.
func (s *service) granted(answer harness.Answer) string {
	s.t.Helper()
	answer.Expect(s.t, http.StatusOK)
	if answer.AccessToken() == "" {
		s.t.Errorf("there is no token: %s", answer.Body)
	}
	return answer.AccessToken()
}

// denied expects a refusal word for word: the answer says what kind of thing is
// wrong, and nothing of why.
func (s *service) denied(answer harness.Answer, status int, code, description string) {
	s.t.Helper()
	answer.Expect(s.t, status)
	members := answer.Members()
	if len(members) != 2 || members["error"] != code || members["error_description"] != description {
		s.t.Errorf("the refusal is %s", answer.Body)
	}
}

const badSubject = "The subject token is not acceptable."

// allSubjectsDenied expects that no token is exchanged.
func allSubjectsDenied(t *testing.T, tokens map[string]string) {
	t.Helper()
	for name, text := range tokens {
		t.Run(name, func(t *testing.T) {
			s := serving(t)
			if text == "" {
				s.denied(s.exchange("orders", text), http.StatusBadRequest, "invalid_request", "A parameter is missing.")
				return
			}
			s.denied(s.exchange("orders", text), http.StatusBadRequest, "invalid_request", badSubject)
		})
	}
}

// assertionOf makes a client assertion, with changes.
func (s *service) assertionOf(client string, changes map[string]any) map[string]any {
	now := time.Now()
	claims := map[string]any{
		"iss": client, "sub": client, "aud": s.gateway.URL, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	maps.Copy(claims, changes)
	return claims
}

// asserting asks for a token of the client's own with an assertion.
func (s *service) asserting(assertion string) harness.Answer {
	s.t.Helper()
	return s.gateway.Post("/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "audience": {"stock"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	})
}

func allAssertionsDenied(t *testing.T, assertions map[string]string) {
	t.Helper()
	for name, text := range assertions {
		t.Run("assertion "+name, func(t *testing.T) {
			s := serving(t)
			s.denied(s.asserting(text), http.StatusUnauthorized, "invalid_client", "The client is unknown, or did not prove itself.")
		})
	}
}
