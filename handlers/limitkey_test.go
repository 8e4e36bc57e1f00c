package handlers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// counted is the key of a request with two values, from an address.
func counted(t *testing.T, first, second, address string) string {
	t.Helper()
	repl := caddy.NewEmptyReplacer()
	repl.Set("one", first)
	repl.Set("two", second)
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = address
	return limitKey{"one", "two"}.of(r.WithContext(context.WithValue(r.Context(), caddy.ReplacerCtxKey, repl)))
}

func TestLimitKey(t *testing.T) {
	const here, there = "203.0.113.9:1", "203.0.113.10:1"
	if counted(t, "a", "b", here) != counted(t, "a", "b", there) {
		t.Error("the address counts though nothing is empty")
	}
	if counted(t, "a", "", here) == counted(t, "a", "", there) {
		t.Error("two addresses without the second value are one")
	}
	if counted(t, "a", "", here) == counted(t, "a", "203.0.113.9", there) {
		t.Error("a caller that is named like an address is that address")
	}
	if counted(t, "", "", here) != counted(t, "", "", "203.0.113.9:2") {
		t.Error("two connections of one address are two")
	}
}

// FuzzLimitKey holds that two requests are counted together only if their values are the
// same: else one caller could use up the limit of another, or leave its own.
func FuzzLimitKey(f *testing.F) {
	for _, seed := range [][4]string{
		{"x", "yz", "xy", "z"},
		{"1:x", "y", "1", ":xy"},
		{"a", "", "", "a"},
		{"", "i203.0.113.9", "i203.0.113.9", ""},
		{"1:a", "1:a", "1:a1:a", ""},
		{"a\x00", "b", "a", "\x00b"},
		{"", "", "", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		same := counted(t, a, b, "203.0.113.9:1") == counted(t, c, d, "203.0.113.9:2")
		if same != (a == c && b == d) {
			t.Errorf("%q, %q and %q, %q: counted together %t", a, b, c, d, same)
		}
	})
}

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
