package config

import "testing"

func TestResourceMetadataURL(t *testing.T) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	tests := map[string]string{
		"https://api.example.com":                "https://api.example.com" + wellKnown,
		"https://api.example.com/":               "https://api.example.com" + wellKnown,
		"https://api.example.com/v1":             "https://api.example.com" + wellKnown + "/v1",
		"https://api.example.com/v1/":            "https://api.example.com" + wellKnown + "/v1/",
		"https://api.example.com:8443/a/b":       "https://api.example.com:8443" + wellKnown + "/a/b",
		"https://api.example.com?tenant=a":       "https://api.example.com" + wellKnown + "?tenant=a",
		"https://api.example.com/?tenant=a&b=":   "https://api.example.com" + wellKnown + "?tenant=a&b=",
		"https://api.example.com/v1?tenant=a":    "https://api.example.com" + wellKnown + "/v1?tenant=a",
		"https://api.example.com/a%2Fb/%C3%A9":   "https://api.example.com" + wellKnown + "/a%2Fb/%C3%A9",
		"http://127.0.0.1:8080/x":                "http://127.0.0.1:8080" + wellKnown + "/x",
		"https://[2001:db8::1]:8443":             "https://[2001:db8::1]:8443" + wellKnown,
		"HTTPS://api.example.com":                "https://api.example.com" + wellKnown,
		"api.example.com":                        "",
		"/v1":                                    "",
		"urn:example:api":                        "",
		"https://api.example.com:port":           "",
		"":                                       "",
		"https://":                               "",
		"https://api.example.com//":              "https://api.example.com" + wellKnown + "//",
		"https://api.example.com/v1/.well-known": "https://api.example.com" + wellKnown + "/v1/.well-known",
	}
	for resource, want := range tests {
		if got := ResourceMetadataURL(resource); got != want {
			t.Errorf("%q: %q, want %q", resource, got, want)
		}
	}
}
