package statuslist_test

import (
	"testing"

	"github.com/caddy-gatehouse/gatehouse/statuslist"
)

func TestPlaces(t *testing.T) {
	folder := []string{"https://cdn.example.net/lists/", "https://other.example:8443/s"}
	tests := map[string]struct {
		own, folders bool // whether the issuer's origin, or the folders, allow it
	}{
		"https://idp.example.com/statuslists/1":          {own: true},
		"https://idp.example.com":                        {own: true},
		"https://IDP.example.com:443/statuslists/1?a=b":  {own: true},
		"https://cdn.example.net/lists/a/b?c=/../d":      {folders: true},
		"https://other.example:8443/s":                   {folders: true},
		"https://other.example:8443/s/1":                 {folders: true},
		"https://other.example:8443/s?1":                 {folders: true},
		"https://cdn.example.net/lists":                  {},
		"https://cdn.example.net/listsX/1":               {},
		"https://cdn.example.net/Lists/1":                {},
		"https://other.example:8443/s.evil":              {},
		"https://other.example/s/1":                      {},
		"http://idp.example.com/statuslists/1":           {},
		"https://idp.example.com:8443/statuslists/1":     {},
		"https://idp.example.com.evil.example/1":         {},
		"https://idp.example.com@evil.example/1":         {},
		"https://evil.example#@idp.example.com/1":        {},
		"https://evil.example\\@idp.example.com/1":       {},
		"https://idp.example.com\\@evil.example/1":       {},
		"https://user@idp.example.com/1":                 {},
		"https://idp.example.com:@evil.example/1":        {},
		"https://idp.example.com:/1":                     {},
		"https://idp.example.com/1#part":                 {},
		"https://idp.example.com/1#":                     {},
		"https://cdn.example.net/lists/../admin":         {},
		"https://cdn.example.net/lists/%2e%2e/admin":     {},
		"https://cdn.example.net/lists/.%2E/admin":       {},
		"https://cdn.example.net/lists/%252e%252e/admin": {},
		"https://cdn.example.net/lists/..;/admin":        {},
		"https://cdn.example.net/lists/..%2fadmin":       {},
		"https://cdn.example.net/lists/a%5c..%5cadmin":   {},
		"https://cdn.example.net//lists/1":               {},
		"https://cdn.example.net/lists//1":               {},
		"https://cdn.example.net/./lists/1":              {},
		"https://cdn.example.net/lists/1\r\nHost: evil":  {},
		"https://cdn.example.net/lists/ 1":               {},
		"https://cdn.example.net/lists/ü":                {},
		"//idp.example.com/1":                            {},
		"/statuslists/1":                                 {},
		"idp.example.com/1":                              {},
		"https:idp.example.com/1":                        {},
		"https:///1":                                     {},
		"file:///etc/passwd":                             {},
		"urn:example:list":                               {},
		"":                                               {},
		"https://169.254.169.254/latest":                 {},
		"https://idp.example.com%2eevil.example/1":       {},
	}
	own, err := statuslist.OriginOf("https://idp.example.com/realms/main")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := statuslist.NewPlaces(folder...)
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range tests {
		if got := own.Allow(address); got != want.own {
			t.Errorf("the origin, %q: %t", address, got)
		}
		if got := folders.Allow(address); got != want.folders {
			t.Errorf("the folders, %q: %t", address, got)
		}
	}
	for _, wrong := range []string{"https://a.example/b/../c", "https://a.example/b?c", "https://u@a.example", "https://a.example/%2e", "x"} {
		if _, err := statuslist.NewPlaces(wrong); err == nil {
			t.Errorf("%s is a place", wrong)
		}
	}
}
