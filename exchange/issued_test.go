package exchange

import (
	"fmt"
	"strings"
	"testing"
)

func TestCredential(t *testing.T) {
	for scheme, want := range map[string]string{"": "issued", "Bearer": "Bearer issued", "Txn-Token": "Txn-Token issued"} {
		r := newRig(t, func(c *Config) { c.Scheme = scheme })
		for range 2 { // the second one is remembered
			issued, err := r.Exchange(t.Context(), r.caller("t", "orders:read"))
			if err != nil {
				t.Fatal(err)
			}
			text := issued.Token.Reveal()
			if got := issued.Credential.Reveal(); got != strings.Replace(want, "issued", text, 1) {
				t.Errorf("scheme %q: credential %q of token %q", scheme, got, text)
			}
			if printed := fmt.Sprintf("%+v %#v", *issued, issued); strings.Contains(printed, text) {
				t.Errorf("scheme %q: an issued token prints itself: %s", scheme, printed)
			}
		}
	}
}
