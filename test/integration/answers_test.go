package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// answers has the same routes on two servers: one with error routes, one without.
const answers = `{
	gatehouse {
		issuer main $IDP {
			audience https://api.example.com
		}
	}
}
(routes) {
	token_auth
	handle /orders/* {
		token_require scope orders:read
		token_require {
			client app
			scope orders:admin orders:read
			any_scope orders:audit orders:admin
		}
		respond "in"
	}
	handle /clients/* {
		token_require client another
		respond "in"
	}
	handle {
		respond "in"
	}
}
$SITE {
	import routes
	handle_errors {
		header X-Message "{http.error.message}"
		header X-Code "{http.auth.error}"
		header X-User "{http.auth.user.id}"
		respond "routed {http.error.status_code}"
	}
}
$PLAIN {
	import routes
}
`

// An expected answer; the challenge is without its realm and description.
type expected struct {
	status           int
	code             string
	text             string
	challenge        string
	user, retryAfter string
}

var (
	expectInvalid = expected{
		status: 401, code: "invalid_token", text: "The access token is not valid for this API.",
		challenge: `Bearer realm="gatehouse", error="invalid_token", error_description="The access token is not valid for this API."`,
	}
	expectMissing   = expected{status: 401, text: "This API needs an access token.", challenge: `Bearer realm="gatehouse"`}
	expectMalformed = expected{
		status: 400, code: "invalid_request", text: "The request's credentials are malformed.",
		challenge: `Bearer realm="gatehouse", error="invalid_request", error_description="The request's credentials are malformed."`,
	}
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	stranger := tokentest.NewKey(t, "ES256", "k1")
	plain := "http://" + harness.FreeAddress(t)
	gateway := harness.Start(t, answers, "$IDP", idp.URL, "$PLAIN", plain)
	gateway.Await("/", idp.Token(nil), http.StatusOK)
	good := idp.Token(nil)

	tests := map[string]struct {
		path          string
		authorization []string
		want          expected
	}{
		"no credential":             {"/", nil, expectMissing},
		"another scheme":            {"/", []string{"Basic YTpi"}, expectMissing},
		"two Authorization headers": {"/", []string{"Bearer " + good, "Bearer " + good}, expectMalformed},
		"two credentials in one":    {"/", []string{"Bearer " + good + ", Bearer " + good}, expectMalformed},
		"longer than 16 KiB":        {"/", []string{"Bearer " + strings.Repeat("a", 16<<10)}, expectMalformed},
		"no JWT":                    {"/", []string{"Bearer opaque"}, expectInvalid},
		"signed by a stranger":      {"/", []string{"Bearer " + stranger.Sign(nil, idp.Claims(nil))}, expectInvalid},
		"expired":                   {"/", []string{"Bearer " + idp.Token(map[string]any{"exp": time.Now().Add(-time.Minute).Unix()})}, expectInvalid},
		"another issuer":            {"/", []string{"Bearer " + idp.Token(map[string]any{"iss": "https://other.example.com"})}, expectInvalid},
		"another audience":          {"/", []string{"Bearer " + idp.Token(map[string]any{"aud": "https://other.example.com"})}, expectInvalid},
		"an ID token":               {"/", []string{"Bearer " + idp.Token(map[string]any{"nonce": "n"})}, expectInvalid},
		"lacks scope": {"/orders/1", []string{"Bearer " + good}, expected{
			status: 403, code: "insufficient_scope", text: "The access token lacks scope that this request needs.", user: "alice",
			challenge: `Bearer realm="gatehouse", error="insufficient_scope", ` +
				`error_description="The access token lacks scope that this request needs.", scope="orders:read orders:admin orders:audit"`,
		}},
		"another rule": {"/clients/1", []string{"Bearer " + good}, expected{
			status: 403, code: "access_denied", text: "The access token does not allow this request.", user: "alice",
		}},
		// More scope would not help this caller, so the answer does not say so.
		"another rule beside a scope": {"/orders/1", []string{"Bearer " + idp.Token(map[string]any{"client_id": "other"})}, expected{
			status: 403, code: "access_denied", text: "The access token does not allow this request.", user: "alice",
		}},
	}
	for name, test := range tests {
		for _, site := range []string{gateway.URL, plain} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
				routed := site == gateway.URL
				t.Run(fmt.Sprintf("%s/%s/routed=%t", name, method, routed), func(t *testing.T) {
					request := at(t, gateway, site, test.path, "")
					request.Method = method
					request.Header["Authorization"] = test.authorization
					test.want.expect(t, gateway.Do(request), routed, method)
				})
			}
		}
	}
}

// expect holds an answer against what is wanted, with or without error routes.
func (want expected) expect(t *testing.T, got harness.Answer, routed bool, method string) {
	t.Helper()
	got.Expect(t, want.status)
	var challenges, retries []string
	if want.challenge != "" {
		challenges = []string{want.challenge}
	}
	// Where another login is needed the scheme is not in question.
	if want.status == http.StatusUnauthorized && !strings.Contains(want.challenge, "insufficient_user_authentication") {
		challenges = append(challenges, offersDPoP)
	}
	if want.retryAfter != "" {
		retries = []string{want.retryAfter}
	}
	expectHeader(t, got, "WWW-Authenticate", challenges...)
	expectHeader(t, got, "Retry-After", retries...)
	expectHeader(t, got, "Cache-Control", "no-store")
	expectHeader(t, got, "Vary", "Authorization")
	if method == http.MethodHead && got.Body != "" {
		t.Errorf("the answer to HEAD has a body: %q", got.Body)
	}
	if routed {
		expectHeader(t, got, "X-Message", want.text)
		expectHeader(t, got, "X-Code", want.code)
		expectHeader(t, got, "X-User", want.user)
		if body := fmt.Sprintf("routed %d", want.status); method != http.MethodHead && got.Body != body {
			t.Errorf("body %q, want %q", got.Body, body)
		}
		return
	}
	if method == http.MethodHead {
		return
	}
	problem := problemOf(t, got)
	wantCode, wantDescription := any(want.code), any(want.text)
	if want.code == "" {
		wantCode, wantDescription = nil, nil
	}
	if problem["error"] != wantCode || problem["error_description"] != wantDescription {
		t.Errorf("error %v, error_description %v; want %q", problem["error"], problem["error_description"], want.code)
	}
	if problem["detail"] != want.text || problem["status"] != float64(want.status) || problem["title"] != http.StatusText(want.status) {
		t.Errorf("the problem says %v", problem)
	}
	if id, _ := problem["request_id"].(string); len(id) != 36 {
		t.Errorf("request_id %q, want an id by which operators find the request", id)
	}
}

// While an issuer is down a good token is not a bad one; when it is back, so is
// the API, by itself.
func TestIssuerIsDownAtStart(t *testing.T) {
	t.Parallel()
	idp := harness.NewAuthServer(t)
	idp.Fail(http.StatusBadGateway)
	plain := "http://" + harness.FreeAddress(t)
	gateway := harness.Start(t, answers, "$IDP", idp.URL, "$PLAIN", plain)
	token := idp.Token(nil)
	want := expected{status: 503, text: "The token cannot be checked at present.", retryAfter: "5"}

	want.expect(t, gateway.Get("/", token), true, http.MethodGet)
	want.expect(t, gateway.Do(at(t, gateway, plain, "/", token)), false, http.MethodGet)
	// What can be told without keys is told all the same.
	expectMissing.expect(t, gateway.Get("/", ""), true, http.MethodGet)
	expectInvalid.expect(t, gateway.Get("/", idp.Token(map[string]any{"aud": "other"})), true, http.MethodGet)

	asked := idp.Hits("/.well-known/openid-configuration")
	harness.Eventually(t, "the gateway asks again without any request", func() bool {
		return idp.Hits("/.well-known/openid-configuration") > asked
	})
	idp.Fail(0)
	harness.Eventually(t, "the gateway fetches the keys without any request", func() bool { return idp.Hits("/jwks") > 0 })
	gateway.Await("/", token, http.StatusOK)
}
