package integration_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// $RULE is what each load writes there. Elsewhere former actors are named only where nobody
// looks before a request comes.
const formerActors = `{
	gatehouse {
		issuer one https://one.example.com {
			audience any
			jwks $DIR/set.json
		}
	}
}
$SITE {
	token_auth one
	handle /rule {
		$RULE
	}
	handle /matcher {
		@no not token claim act.sub trusted
		respond @no 403
	}
	handle /expression {
		@no expression {http.auth.user.claim.act.act.sub} != "trusted"
		respond @no 403
	}
	handle /has {
		@no expression {http.auth.user.has.act.act} != "true"
		respond @no 403
	}
	handle /named {
		token_require expression ph(req, "http.auth.user.claim.act.act.sub") == "trusted"
	}
	handle /pointer {
		token_require expression ph(req, "http.auth.user.claim./act/act/sub") == "trusted"
	}
	handle /object {
		token_require expression {http.auth.user.claim.act}.contains("trusted")
	}
	respond * "{http.auth.user.actor} {http.auth.user.claim.act}"
}
`

// Former actors are for the record alone (RFC 8693, section 4.1): who once acted for
// the subject opens nothing for who acts now.
func TestFormerActorsDecideNothing(t *testing.T) {
	t.Parallel()
	key := tokentest.NewKey(t, "ES256", "k1")
	folder := t.TempDir()
	write(t, filepath.Join(folder, "set.json"), tokentest.Set(key))
	gateway := harness.Start(t, strings.Replace(formerActors, "$RULE", "token_require claim act.sub trusted", 1), "$DIR", folder)
	acting := func(current, former string) string {
		act := map[string]any{"sub": current, "act": map[string]any{"sub": former}}
		return key.Sign(nil, tokentest.Claims("https://one.example.com", map[string]any{"act": act}))
	}
	for path, byCurrent := range map[string]bool{
		"/rule": true, "/matcher": true, "/object": true, "/expression": false, "/has": false, "/named": false, "/pointer": false,
	} {
		if got := gateway.Get(path, acting("evil", "trusted")); got.Status != http.StatusForbidden {
			t.Errorf("%s: %d %q by a former actor", path, got.Status, got.Body)
		}
		if got := gateway.Get(path, acting("trusted", "evil")); (got.Status == http.StatusOK) != byCurrent {
			t.Errorf("%s: %d by the current actor", path, got.Status)
		}
	}
	if got := gateway.Get("/", acting("evil", "trusted")); got.Body != `evil {"sub":"evil"}` {
		t.Errorf("placeholders tell %q", got.Body)
	}
	formerActorsOnRecord(t, gateway)
	formerActorsAtLoad(t, gateway)
}

func formerActorsOnRecord(t *testing.T, gateway *harness.Gateway) {
	t.Helper()
	harness.Eventually(t, "a denial is in the audit trail", func() bool { return len(gateway.Audit()) > 0 })
	for _, line := range gateway.Audit() {
		if former := map[any]string{"evil": "trusted", "trusted": "evil"}[line["actor"]]; line["earlier_actors"] != former {
			t.Errorf("actor %v, earlier actors %v", line["actor"], line["earlier_actors"])
		}
	}
}

// Where a configuration names them, it says so at once, and where.
func formerActorsAtLoad(t *testing.T, gateway *harness.Gateway) {
	t.Helper()
	for _, rule := range []string{
		`token_require claim act.act.sub trusted`,
		`token_require claim /act/act/sub trusted`,
		`token_require expression {http.auth.user.claim.act.act.sub} == "trusted"`,
		`token_require expression token_claim("/act/act/sub", "trusted")`,
		"@no not token claim act.act.sub trusted\n\t\trespond @no 403",
	} {
		err := gateway.Reload(strings.Replace(formerActors, "$RULE", rule, 1))
		if err == nil {
			t.Errorf("%s is taken, and answers %d", rule, gateway.Get("/rule", "").Status)
			continue
		}
		if said := err.Error(); !strings.Contains(said, "leads to a former actor") || !strings.Contains(said, "Caddyfile:15") {
			t.Errorf("%s: %v", rule, err)
		}
	}
}
