package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const templated = "$SITE {" + ready + `
	root * $DIR
	handle /page.html {
		token_auth
		token_exchange orders
		templates
		file_server
	}
	handle /written.html {
		rewrite * /page.html
		route {
			token_auth
			token_exchange orders
			templates
			file_server
		}
	}
	handle /outer.html {
		token_auth
		templates
		file_server
	}
	handle /open.html {
		templates
		file_server
	}
	handle /inner {
		token_auth
		respond "for {http.auth.user.id}"
	}
	handle /public {
		respond "public {http.request.header.Authorization}"
	}
}
`

const page = "{{placeholder `http.auth.user.id`}}|{{placeholder `http.auth.user.claim.scope`}}|" +
	"{{placeholder `http.request.header.Authorization`}}|{{.Req.Header.Get `Authorization`}}|{{.Cookie `session`}}|{{.Req.Header}}"

func startTemplates(t *testing.T) company {
	t.Helper()
	folder := t.TempDir()
	write(t, folder+"/page.html", []byte(page))
	write(t, folder+"/outer.html", []byte("{{httpInclude `/public`}}|{{httpInclude `/inner`}}"))
	write(t, folder+"/open.html", []byte("{{httpInclude `/inner`}}"))
	return startCompany(t, "", templated, "$DIR", folder)
}

// A page knows its caller and no token: templates stand before token_exchange.
func TestTemplates(t *testing.T) {
	t.Parallel()
	c := startTemplates(t)
	token := c.token(nil)
	got := c.Get("/page.html", token).Expect(t, http.StatusOK)
	if !strings.HasPrefix(got.Body, "alice|a b||||map[") {
		t.Errorf("the page says %q", got.Body)
	}
	if strings.Contains(got.Body, token) || strings.Contains(got.Body, "Bearer") {
		t.Error("a token is on the page")
	}
	if control := got.Header.Get("Cache-Control"); control != "private" {
		t.Errorf("Cache-Control %q, want private", control)
	}
	c.Get("/page.html", "bad").Expect(t, http.StatusUnauthorized)

	// Where the operator writes templates behind token_exchange, they are where the
	// upstream is: the header of the request holds its token, placeholders do not.
	got = c.Get("/written.html", token).Expect(t, http.StatusOK)
	parts := strings.Split(got.Body, "|")
	if len(parts) < 5 || parts[2] != "" || strings.Contains(got.Body, token) {
		t.Fatalf("the page says %q", got.Body)
	}
	issued, _ := strings.CutPrefix(parts[3], "Bearer ")
	if harness.Claims(t, issued)["aud"] != "orders" {
		t.Errorf("behind token_exchange the header holds %q", parts[3])
	}
}

// A page that includes another goes through the routes once more, with the request
// as it is then: without the caller's token, which token_auth has taken.
func TestTemplatesInclude(t *testing.T) {
	t.Parallel()
	c := startTemplates(t)
	token := c.token(nil)
	got := c.Get("/outer.html", token).Expect(t, http.StatusInternalServerError) // Caddy's, for an include that is refused
	if strings.Contains(got.Body, token) || strings.Contains(got.Body, "for alice") {
		t.Errorf("behind token_auth the page says %q", got.Body)
	}
	got = c.Get("/open.html", token).Expect(t, http.StatusOK)
	if got.Body != "for alice" {
		t.Errorf("in front of token_auth the page says %q", got.Body)
	}
	if got = c.Get("/open.html", "").Expect(t, http.StatusInternalServerError); strings.Contains(got.Body, "for ") {
		t.Errorf("to nobody the page says %q", got.Body)
	}
}
