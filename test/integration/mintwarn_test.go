package integration_test

import (
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// comesBack has a front door whose audiences one exchange or another asks for.
const comesBack = `{
	gatehouse {
		issuer main $IDP {
			$ACCEPTED
		}
		client c {
			issuer main
			client_id c
			secret canary-secret
		}
		exchange orders {
			$EXCHANGE
		}
	}
}
$SITE {
	token_auth main $DOOR
	token_exchange $USED
	respond in
}
`

// An upstream that could come back with its token is a warning, wherever the audience is
// asked for and wherever it is accepted.
func TestUpstreamThatComesBackWarnsAtLoad(t *testing.T) {
	t.Parallel()
	const (
		warned    = "an upstream's token is for an audience that the front door accepts: an upstream could use it as a caller"
		back      = "https://back.example"
		block     = "audience front " + back
		other     = "audience front"
		elsewhere = "client c\naudience elsewhere"
	)
	for name, test := range map[string]struct {
		exchange, used, accepted, door string
		owner, by                      string // "" if nothing is to be said
	}{
		"audience":             {"client c\naudience " + back, "orders", block, "", "orders", "issuer main"},
		"resource":             {"client c\nresource " + back, "orders", block, "", "orders", "issuer main"},
		"inline":               {elsewhere, "{\nclient c\naudience " + back + "\n}", block, "", "inline", "issuer main"},
		"inline, resource":     {elsewhere, "{\nclient c\nresource " + back + "\n}", block, "", "inline", "issuer main"},
		"the last leg":         {elsewhere + "\nthen {\nclient c\naudience " + back + "\n}", "orders", block, "", "orders", "issuer main"},
		"token_auth":           {"client c\naudience " + back, "orders", other, "{\n" + block + "\n}", "orders", "token_auth"},
		"token_auth, inline":   {elsewhere, "{\nclient c\naudience " + back + "\n}", other, "{\n" + block + "\n}", "inline", "token_auth"},
		"another":              {elsewhere, "orders", block, "", "", ""},
		"the first leg":        {"client c\naudience " + back + "\nthen {\nclient c\naudience elsewhere\n}", "orders", block, "", "", ""},
		"whoever it is for":    {"client c\naudience " + back, "orders", "audience any", "", "", ""},
		"another but in a dot": {"client c\naudience " + back + ".", "orders", block, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			words := strings.NewReplacer("$EXCHANGE", test.exchange, "$USED", test.used, "$ACCEPTED", test.accepted, "$DOOR", test.door)
			gateway := harness.Start(t, words.Replace(comesBack), "$IDP", harness.NewAuthServer(t).URL)
			lines := gateway.Lines(warned) // Start has seen a later line
			if test.owner == "" {
				if len(lines) > 0 {
					t.Errorf("%v", lines)
				}
				return
			}
			if len(lines) != 1 || lines[0]["level"] != "warn" || lines[0]["exchange"] != test.owner || lines[0]["audience"] != back || lines[0]["accepted_by"] != test.by {
				t.Fatalf("%v", lines)
			}
			for _, place := range []string{"place", "accepted_at"} {
				if at, _ := lines[0][place].(string); !strings.Contains(at, "Caddyfile:") {
					t.Errorf("%s is %q", place, at)
				}
			}
		})
	}
}
