package handlers

import "testing"

// The rest of an IPv6 address is a customer's own to choose, and with each of them it
// would be counted as somebody else.
func TestNetworkOf(t *testing.T) {
	for ip, want := range map[string]string{
		"203.0.113.9":                "203.0.113.9",
		"::ffff:203.0.113.9":         "203.0.113.9",
		"2001:db8:1:2::1":            "2001:db8:1:2::/64",
		"2001:DB8:1:2:ffff:ffff::a":  "2001:db8:1:2::/64",
		"2001:db8:1:3::1":            "2001:db8:1:3::/64",
		"fe80::1%eth0":               "fe80::/64",
		"::1":                        "::/64",
		"no address (a unix socket)": "no address (a unix socket)",
		"":                           "",
	} {
		if got := networkOf(ip); got != want {
			t.Errorf("%q: %q, want %q", ip, got, want)
		}
	}
}
