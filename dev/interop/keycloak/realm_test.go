//go:build interop

package keycloak

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A realm is realm.json, imported under a name of its own and gone with the test.
type realm struct {
	// issuer is its URL, and the iss of its tokens.
	issuer string

	t    *testing.T
	name string
}

// newRealm imports realm.json for one test. Pairs are replaced in it first.
func newRealm(t *testing.T, pairs ...string) *realm {
	t.Helper()
	content, err := os.ReadFile("realm.json")
	if err != nil {
		t.Fatal(err)
	}
	name := strings.ToLower(t.Name())
	r := &realm{issuer: keycloak.url + "/realms/" + name, t: t, name: name}
	pairs = append([]string{
		`"realm": "main"`, `"realm": "` + name + `"`,
		`"https://api.example.com/backchannel-logout"`, `"` + keycloak.url + `/nobody"`, // until a test has a gateway
	}, pairs...)
	text := strings.NewReplacer(pairs...).Replace(string(content))
	r.administer(http.MethodPost, keycloak.url+"/admin/realms", []byte(text), http.StatusCreated)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Keycloak's log ends so:\n%s", keycloak.log(4000))
		}
		r.administer(http.MethodDelete, keycloak.url+"/admin/realms/"+name, nil, http.StatusNoContent)
	})
	return r
}

// administer calls the admin API.
func (r *realm) administer(method, address string, body []byte, status int) harness.Answer {
	r.t.Helper()
	login := do(r.t, client, newRequest(r.t, http.MethodPost, keycloak.url+"/realms/master/protocol/openid-connect/token", form, []byte(url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {admin}, "password": {admin},
	}.Encode())))
	request := newRequest(r.t, method, address, "application/json", body)
	request.Header.Set("Authorization", "Bearer "+members(r.t, login)["access_token"].(string))
	answer := do(r.t, client, request)
	if answer.Status != status {
		r.t.Fatalf("%s %s answers %d, not %d: %s", method, address, answer.Status, status, answer.Body)
	}
	return answer
}

const form = "application/x-www-form-urlencoded"

// post sends a form to an endpoint of the realm, as a client with its secret.
func (r *realm) post(endpoint, id string, fields url.Values) harness.Answer {
	r.t.Helper()
	request := newRequest(r.t, http.MethodPost, r.issuer+"/protocol/openid-connect/"+endpoint, form, []byte(fields.Encode()))
	request.SetBasicAuth(id, id+"-secret")
	return do(r.t, client, request)
}

// grant is a successful answer of the token endpoint to a user's password.
func (r *realm) grant(id, user, scope string) map[string]any {
	r.t.Helper()
	answer := r.post("token", id, password(user, scope))
	if answer.Status != http.StatusOK {
		r.t.Fatalf("the token endpoint answers %d to %s: %s", answer.Status, id, answer.Body)
	}
	return members(r.t, answer)
}

// token is an access token that a client got for a user.
func (r *realm) token(id, user, scope string) string {
	r.t.Helper()
	return r.grant(id, user, scope)["access_token"].(string)
}

func password(user, scope string) url.Values {
	fields := url.Values{"grant_type": {"password"}, "username": {user}, "password": {user + "-password"}}
	if scope != "" {
		fields.Set("scope", scope)
	}
	return fields
}

// members are those of a JSON object.
func members(t *testing.T, answer harness.Answer) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(answer.Body), &object); err != nil {
		t.Fatalf("status %d: %v: %s", answer.Status, err, answer.Body)
	}
	return object
}
