package exchange

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/signing"
)

// What is copied of the caller's may make a token that no header carries.
func TestMintTooLong(t *testing.T) {
	copies := func(c *Config) {
		c.Local.Claims = []CopiedClaim{{"one", "groups"}, {"two", "groups"}}
	}
	transaction := func(c *Config) {
		copies(c)
		c.Local.Type, c.ScopeExact = signing.TransactionTokens, []string{"a"}
	}
	groups := func(size int) string { return `{"sub":"alice","groups":"` + strings.Repeat("g", size) + `"}` }
	for name, change := range map[string]func(*Config){"access token": copies, "transaction token": transaction} {
		m := newMint(t, change)
		if issued, _ := m.minted(m.caller(groups(5000))); len(issued.Token.Reveal()) > maxIssued {
			t.Fatalf("%s: of %d octets", name, len(issued.Token.Reveal()))
		}
		_, err := m.Exchange(t.Context(), m.caller(groups(7000)))
		failure, _ := errors.AsType[*Error](err)
		if failure == nil || failure.Outcome != OutcomeTooLong || failure.Status != 403 || strings.Contains(err.Error(), "ggg") {
			t.Errorf("%s: got %.100v", name, err)
		}
	}
}
