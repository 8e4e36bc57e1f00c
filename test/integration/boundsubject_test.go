package integration_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// Section 5, a sender-constrained subject at a server that refuses it: the caller can
// mend nothing, nothing goes upstream, and the operator reads what would help.
func TestExchangeBoundSubject(t *testing.T) {
	t.Parallel()
	site := exchangesSite(t, map[string]string{"one": "audience orders"})
	holder := harness.NewHolder(t)
	token := site.idp.Token(map[string]any{"cnf": holder.Binding()})
	ask := func() harness.Answer {
		return site.Do(holder.Prove(site.Request(http.MethodGet, "/one", ""), site.URL+"/one", token, ""))
	}
	before := len(site.upstream.Received())
	site.idp.Answer(refusalWith(http.StatusForbidden, "access_denied"))
	toldMisconfigured.expect(t, ask(), false, http.MethodGet)
	toldMisconfigured.expect(t, ask(), false, http.MethodGet)
	if n := len(site.idp.Forms()); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
	if n := len(site.upstream.Received()) - before; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	harness.Eventually(t, "the log says what would help", func() bool {
		lines := site.Lines("exchange is misconfigured")
		return len(lines) > 0 && strings.Contains(lines[0]["error"].(string), "grant local")
	})
	// A plain token that the server refuses is its caller's affair.
	site.Get("/one", site.idp.Token(map[string]any{"jti": "plain"})).Expect(t, http.StatusForbidden)
}
