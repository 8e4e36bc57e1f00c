package proof

import (
	"strings"
	"testing"
)

func TestSameTarget(t *testing.T) {
	const target = "https://api.example.com/orders/7"
	for _, test := range []struct {
		htu, url string
		want     bool
	}{
		{target, target, true},
		{target, target + "?a=b", true},
		{target + "?a=b", target + "?c=d", true},
		{target + "#x", target, true},
		{"HTTPS://API.Example.com/orders/7", target, true},
		{"https://api.example.com:443/orders/7", target, true},
		{"https://api.example.com:/orders/7", target, true},
		{"http://api.example.com:80/", "http://api.example.com", true},
		{"http://api.example.com:443/", "http://api.example.com", false},
		{"https://api.example.com:80/orders/7", target, false},
		{"https://api.example.com", "https://api.example.com/", true},
		{"https://api.example.com?x=/y", "https://api.example.com/", true},
		{"https://api.example.com/%6Frders/7", target, true},
		{"https://api.example.com/a%2fb", "https://api.example.com/a%2Fb", true},
		{"https://api.example.com/a%2Fb", "https://api.example.com/a/b", false},
		{"https://api.example.com/a%3Bb", "https://api.example.com/a;b", false},
		{"https://api.example.com/a//b", "https://api.example.com/a/b", false},
		{"https://api.example.com/a/", "https://api.example.com/a", false},
		{"https://api.example.com/x/../orders/./7", target, true},
		{"https://api.example.com/x/%2e%2E/orders/7", target, true},
		{"https://api.example.com/../../orders/7", target, true},
		{"https://api.example.com/a/..", "https://api.example.com/", true},
		{"https://api.example.com/a/.", "https://api.example.com/a/", true},
		{"https://api.example.com/a/.b", "https://api.example.com/a/b", false},
		{"https://api.example.com/ä", "https://api.example.com/%C3%A4", true},
		{"https://api.example.com/\"", "https://api.example.com/%22", true},
		{"https://api.example.com/Orders/7", target, false},
		{"https://[2001:DB8::1]:443/", "https://[2001:db8::1]/", true},
		{"https://[2001:db8::1]:8443/", "https://[2001:db8::1]/", false},
		{"https://user@api.example.com/orders/7", target, false},
		{"https://api.example.com@evil.example/orders/7", target, false},
		{"https://api.example.com\\@evil.example/orders/7", target, false},
		{"https://evil.example/https://api.example.com/orders/7", target, false},
		{"https://api.example.com.evil.example/orders/7", target, false},
		{"https:///orders/7", target, false},
		{"https:/api.example.com/orders/7", target, false},
		{"//api.example.com/orders/7", target, false},
		{"ftp://api.example.com/orders/7", "ftp://api.example.com/orders/8", false},
		{"https://api.example.com/%zz", "https://api.example.com/%zz/", false},
		{"https://api.example.com/a b", "https://api.example.com/a%20b", false},
		{"https://api.example.com/a\n", "https://api.example.com/a", false},
		{"", "", false},
		{"?x", "", false},
	} {
		if got := sameTarget(test.htu, []string{"https://other.example/", test.url}); got != test.want {
			t.Errorf("%q and %q: %t", test.htu, test.url, got)
		}
		if sameTarget(test.htu, nil) {
			t.Errorf("%q is among no URLs", test.htu)
		}
	}
}

func FuzzNormalise(f *testing.F) {
	f.Add("https://api.example.com:443/a/../b%2f%7E?x#y")
	f.Add("http://[::1]:80")
	f.Fuzz(func(t *testing.T, raw string) {
		once, err := normalise(withoutQuery(raw))
		if err != nil {
			return
		}
		// What is normal stays as it is, and the host does not move.
		twice, err := normalise(once)
		if err != nil || once != twice {
			t.Fatalf("%q became %q, and then %q, %v", raw, once, twice, err)
		}
		_, rest, _ := strings.Cut(once, "://")
		_, path, _ := strings.Cut(rest, "/")
		path = "/" + path + "/"
		if strings.ContainsAny(once, "?# \r\n") || strings.Contains(path, "/../") || strings.Contains(path, "/./") {
			t.Fatalf("%q became %q", raw, once)
		}
	})
}
