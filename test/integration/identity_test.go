package integration_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const identities = `{
	gatehouse {
		issuer one https://one.example.com {
			audience any
			jwks $DIR/set.json
			claims {
				roles realm_access.list groups
			}
		}
		issuer tenants $IDP/t1 $IDP/t2 {
			audience any
			algorithms ES256
			token_type at+jwt
			max_token_age 1h
			require_claims tenant
			claims {
				subject oid
				scope permissions
				roles duties
				client appid
			}
		}
		policy staff {
			role staff admin
		}
	}
}
(rules) {
	@role token role admin owner
	@policy token policy staff
	@neither not token {
		role admin owner staff
	}
	handle /require {
		token_require role admin owner
		respond in
	}
	handle /policy {
		token_require policy staff
		respond in
	}
	handle /matcher {
		header @role X-Role yes
		header @policy X-Policy yes
		header @neither X-Neither yes
		respond in
	}
	handle /scope {
		token_require {
			scope read
			client app
		}
		respond in
	}
	handle {
		respond "{http.auth.user.id}|{http.auth.user.subject}|{http.auth.user.client}|{http.auth.user.scope}"
	}
}
$SITE {
	token_auth one tenants
	import rules
}
$SUBJECT {
	token_auth one tenants {
		user_id subject
	}
	import rules
}
$BOTH {
	token_auth one tenants {
		user_id issuer_subject
	}
	import rules
}
$CLAIM {
	token_auth one tenants {
		user_id claim profile.email
	}
	import rules
}
`

// An identitySite is a gateway with several forms of user ids and two issuers that
// put roles into different claims.
type identitySite struct {
	*harness.Gateway

	idp    *harness.AuthServer
	t1, t2 string
	sites  map[string]string // by form of user_id
}

func startIdentities(t *testing.T) *identitySite {
	t.Helper()
	s := &identitySite{idp: harness.NewAuthServer(t), sites: make(map[string]string)}
	s.t1, s.t2 = s.idp.URL+"/t1", s.idp.URL+"/t2"
	folder := t.TempDir()
	write(t, filepath.Join(folder, "set.json"), tokentest.Set(s.idp.Key))
	openID(s.idp, "/t1", "/t2")
	for _, form := range []string{"$SUBJECT", "$BOTH", "$CLAIM"} {
		s.sites[form] = "http://" + harness.FreeAddress(t)
	}
	s.Gateway = harness.Start(t, identities, "$IDP", s.idp.URL, "$DIR", folder,
		"$SUBJECT", s.sites["$SUBJECT"], "$BOTH", s.sites["$BOTH"], "$CLAIM", s.sites["$CLAIM"])
	s.sites["$SITE"] = s.URL
	s.Await("/", s.of(s.t1, nil), http.StatusOK)
	s.Await("/", s.of(s.t2, nil), http.StatusOK)
	return s
}

// of is a token of one of the tenants, in their own shape.
func (s *identitySite) of(issuer string, changes map[string]any) string {
	claims := s.idp.Claims(merge(map[string]any{
		"iss": issuer, "oid": "object-1", "tenant": "acme", "appid": "app", "permissions": []string{"read", "list"},
		"profile": map[string]any{"email": "alice@example.com"},
	}, changes))
	return s.idp.Key.Sign(map[string]any{"typ": "at+jwt"}, claims)
}

func (s *identitySite) one(changes map[string]any) string {
	return s.idp.Token(merge(map[string]any{"iss": "https://one.example.com"}, changes))
}

func TestUserID(t *testing.T) {
	t.Parallel()
	s := startIdentities(t)
	email := map[string]any{"profile": map[string]any{"email": "bob@example.com"}}
	list := map[string]any{"profile": map[string]any{"email": []string{"a", "b"}}}
	tests := []struct{ name, site, token, want string }{
		{"default, a name", "$SITE", s.one(nil), "one/alice"},
		{"default, several URLs", "$SITE", s.of(s.t2, nil), s.t2 + "#object-1"},
		{"subject", "$SUBJECT", s.one(nil), "alice"},
		{"subject, of another claim", "$SUBJECT", s.of(s.t1, nil), "object-1"},
		{"subject, none", "$SUBJECT", s.one(map[string]any{"sub": nil}), ""},
		{"issuer_subject, a name", "$BOTH", s.one(nil), "one/alice"},
		{"issuer_subject, several URLs", "$BOTH", s.of(s.t1, nil), s.t1 + "#object-1"},
		{"issuer_subject, no subject", "$BOTH", s.one(map[string]any{"sub": nil}), ""},
		{"claim", "$CLAIM", s.one(email), "bob@example.com"},
		{"claim, of another issuer", "$CLAIM", s.of(s.t1, nil), "alice@example.com"},
		{"claim, absent", "$CLAIM", s.one(nil), ""},
		{"claim, a list", "$CLAIM", s.one(list), "a b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := s.Do(at(t, s.Gateway, s.sites[test.site], "/", test.token)).Expect(t, http.StatusOK)
			if id, _, _ := strings.Cut(got.Body, "|"); id != test.want {
				t.Errorf("the user is %q, want %q", id, test.want)
			}
		})
	}
}

// One block's words hold for each of its URLs.
func TestWordsOfSeveralURLs(t *testing.T) {
	t.Parallel()
	s := startIdentities(t)
	for _, issuer := range []string{s.t1, s.t2} {
		got := s.Get("/", s.of(issuer, nil)).Expect(t, http.StatusOK)
		if want := issuer + "#object-1|object-1|app|read list"; got.Body != want {
			t.Errorf("%q, want %q", got.Body, want)
		}
		s.Get("/scope", s.of(issuer, nil)).Expect(t, http.StatusOK)
		s.Get("/scope", s.of(issuer, map[string]any{"permissions": nil})).Expect(t, http.StatusForbidden)
		s.Get("/scope", s.of(issuer, map[string]any{"appid": "other"})).Expect(t, http.StatusForbidden)
		s.Get("/require", s.of(issuer, map[string]any{"duties": "owner"})).Expect(t, http.StatusOK)
		old := time.Now().Add(-2 * time.Hour).Unix()
		for name, token := range map[string]string{
			"another typ":           s.idp.Key.Sign(map[string]any{"typ": "JWT"}, s.idp.Claims(map[string]any{"iss": issuer, "oid": "o", "tenant": "acme"})),
			"an old one":            s.of(issuer, map[string]any{"iat": old}),
			"without what it needs": s.of(issuer, map[string]any{"tenant": nil}),
			"of a third tenant":     s.of(s.idp.URL+"/t3", nil),
		} {
			if got := s.Get("/", token); got.Status != http.StatusUnauthorized {
				t.Errorf("a token %s: status %d", name, got.Status)
			}
		}
	}
}

// Roles lie where the issuer says, and nowhere else.
func TestRoles(t *testing.T) {
	t.Parallel()
	s := startIdentities(t)
	realm := func(roles any) map[string]any { return map[string]any{"realm_access": map[string]any{"list": roles}} }
	tests := []struct {
		name, token          string
		role, policy, others bool
	}{
		{"in a list", s.one(realm([]string{"user", "admin"})), true, true, false},
		{"one of the others", s.one(realm([]string{"owner"})), true, false, false},
		{"of the policy alone", s.one(realm([]string{"staff"})), false, true, false},
		{"as a text", s.one(realm("admin")), true, true, false},
		{"in the second claim", s.one(map[string]any{"groups": []string{"admin"}}), true, true, false},
		{"none of them", s.one(realm([]string{"administrator", "Admin", "admin owner"})), false, false, true},
		{"in a text with another", s.one(realm("user admin")), false, false, true},
		{"no roles", s.one(nil), false, false, true},
		{"where another issuer has them", s.one(map[string]any{"duties": []string{"admin"}}), false, false, true},
		{"another issuer's", s.of(s.t1, map[string]any{"duties": []string{"admin"}}), true, true, false},
		{"where the first has them", s.of(s.t1, realm([]string{"admin"})), false, false, true},
	}
	s.Get("/matcher", s.one(realm(map[string]any{"admin": true}))).Expect(t, http.StatusUnauthorized) // neither list nor text
	status := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}
	shows := map[bool]string{true: "yes"}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			refused := s.Get("/require", test.token).Expect(t, status[test.role])
			if challenge := refused.Header.Get("WWW-Authenticate"); challenge != "" {
				t.Errorf("a challenge, and no scope would help: %s", challenge)
			}
			s.Get("/policy", test.token).Expect(t, status[test.policy])
			answer := s.Get("/matcher", test.token).Expect(t, http.StatusOK)
			expectHeader(t, answer, "X-Role", values(shows[test.role])...)
			expectHeader(t, answer, "X-Policy", values(shows[test.policy])...)
			expectHeader(t, answer, "X-Neither", values(shows[test.others])...)
		})
	}
}

func values(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// The key set is renewed in the background as often as jwks_refresh says, without
// any request; a new key is known before its first token comes.
func TestKeysAreRenewedBeforeTheyAreNeeded(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	gateway := harness.Start(t, `{
	gatehouse {
		issuer main $IDP {
			audience any
			jwks_refresh 1s
		}
	}
}
$SITE {
	token_auth
	respond in
}
`, "$IDP", idp.URL)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	next := tokentest.NewKey(t, "ES256", "k2")
	idp.Rotate(idp.Key, next)
	seen := idp.Hits("/jwks")
	harness.Eventually(t, "the keys are renewed twice", func() bool { return idp.Hits("/jwks") >= seen+2 })
	idp.Fail(http.StatusServiceUnavailable) // so that no request can fetch them
	gateway.Get("/", next.Sign(nil, idp.Claims(nil))).Expect(t, http.StatusOK)
}
