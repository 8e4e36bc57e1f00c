package integration_test

import (
	"net/http"
	"testing"
	"time"
)

// A JWT is known by what it says itself, whatever its issuer calls it: an order to
// revoke it names what it says, and one for its subject what the answer says.
func TestRevokedUnderEitherName(t *testing.T) {
	t.Parallel()
	a := startAsking(t, "always\ncache_ttl 1m", "")
	token := func(name string) string {
		made := a.idp.Token(map[string]any{"jti": "own-" + name, "sub": "sub-" + name, "sid": "sid-" + name})
		a.endpoint.Issue(made, map[string]any{"jti": "told-" + name, "sub": "user-" + name, "sid": "session-" + name, "iat": time.Now().Add(20 * time.Second).Unix()})
		return made
	}
	other := token("other")
	a.Await("/", other, http.StatusOK)
	for name, body := range map[string]string{
		"token":    "",
		"own-jti":  `"kind": "jti", "value": "own-own-jti"`,
		"told-jti": `"kind": "jti", "value": "told-told-jti"`,
		"own-sub":  `"kind": "subject", "value": "sub-own-sub"`,
		"told-sub": `"kind": "subject", "all": true, "value": "user-told-sub"`,
		"own-sid":  `"kind": "session", "value": "sid-own-sid"`,
		"told-sid": `"kind": "session", "value": "session-told-sid"`,
	} {
		t.Run(name, func(t *testing.T) {
			made := token(name)
			a.Get("/", made).Expect(t, http.StatusOK)
			if body == "" {
				body = `"token": "` + made + `"`
			} else {
				body += `, "issuer": "main"`
			}
			revoke(t, a.Gateway, "{"+body+"}")
			a.Get("/", made).Expect(t, http.StatusUnauthorized)
		})
	}
	a.Get("/", other).Expect(t, http.StatusOK)
}
