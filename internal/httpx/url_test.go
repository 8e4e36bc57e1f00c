package httpx_test

import (
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

func TestCheckURL(t *testing.T) {
	const notHost, plain = "not a URL with a host", "plain http is accepted for loopback hosts only, not for "
	tests := map[string]string{
		"https://idp.example.com":              "",
		"https://idp.example.com:8443/a?b=c":   "",
		"HTTPS://idp.example.com":              "",
		"http://127.0.0.1":                     "",
		"http://127.8.9.10:80/x":               "",
		"http://[::1]:8080":                    "",
		"http://localhost:8080":                "",
		"http://LOCALHOST.":                    "",
		"http://idp.localhost":                 "",
		"http://idp.example.com":               plain + "idp.example.com; use https",
		"http://localhost.example.com":         plain + "localhost.example.com; use https",
		"http://notlocalhost":                  plain + "notlocalhost; use https",
		"http://127.0.0.1.example.com":         plain + "127.0.0.1.example.com; use https",
		"http://0.0.0.0":                       plain + "0.0.0.0; use https",
		"http://[::]":                          plain + "::; use https",
		"http://10.0.0.1":                      plain + "10.0.0.1; use https",
		"http://127.1":                         plain + "127.1; use https",
		"http://2130706433":                    plain + "2130706433; use https",
		"https://user:canary@idp.example.com":  "a URL must not hold a user name or password",
		"https://user@idp.example.com":         "a URL must not hold a user name or password",
		"http://127.0.0.1@idp.example.com":     "a URL must not hold a user name or password",
		"https://idp.example.com#part":         "a URL must not have a fragment",
		"https://idp.example.com#":             "a URL must not have a fragment",
		"":                                     notHost,
		"idp.example.com":                      notHost,
		"/path":                                notHost,
		"https://":                             notHost,
		"https://:443":                         notHost,
		"https:idp.example.com":                notHost,
		"mailto:a@example.com":                 notHost,
		"ftp://idp.example.com":                "not an https URL",
		"file://localhost/etc/passwd":          "not an https URL",
		"//idp.example.com":                    "not an https URL",
		"https://idp.example.com/%zz":          "not a URL",
		"https://idp.example.com\r\nX-Evil: 1": "not a URL",
		"http://127.0.0.1 .example.com":        "not a URL",
	}
	for raw, want := range tests {
		_, err := httpx.CheckURL(raw)
		if got := textOf(err); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// FuzzCheckURL holds that what is accepted goes to the host it names: over TLS,
// or to this machine.
func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"https://a", "http://127.0.0.1", "http://[::1%25lo]", "https://a@b", "http://localhost.", "https://a#", "HTTP://x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := httpx.CheckURL(raw)
		if err != nil {
			return
		}
		if u.Hostname() == "" || u.User != nil || u.Fragment != "" {
			t.Errorf("%q was accepted as %v", raw, u)
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !httpx.IsLoopback(u.Hostname())) {
			t.Errorf("%q was accepted: %s to %s", raw, u.Scheme, u.Hostname())
		}
	})
}
