package attack_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const statusCaddyfile = `{
	debug
	gatehouse {
		issuer a $ISSUER_A {
			audience https://api.example.com
		}
		issuer b $ISSUER_B {
			audience https://api.example.com
		}
	}
}
$SITE {
	token_auth a b
	respond in
}
`

// A reader is a gateway that reads the status lists of two issuers.
type reader struct {
	*harness.Gateway

	a, b *harness.AuthServer
}

func reading(t *testing.T) *reader {
	t.Helper()
	r := &reader{a: harness.NewAuthServer(t), b: harness.NewAuthServer(t)}
	r.Gateway = harness.Start(t, statusCaddyfile, "$ISSUER_A", r.a.URL, "$ISSUER_B", r.b.URL)
	r.Await("/", r.a.Token(nil), http.StatusOK)
	r.Await("/", r.b.Token(nil), http.StatusOK)
	return r
}

// A token names the address of its list. Whatever its issuer writes there, nothing is
// called but where this issuer's lists may lie, and no redirect leads away from there.
func TestAttack20StatusList(t *testing.T) {
	w, r := attacked(t), reading(t)
	host := strings.TrimPrefix(w.trap.URL, "http://")
	own := strings.TrimPrefix(r.a.URL, "http://")
	for _, uri := range []string{
		w.trap.URL + "/1", "https://" + host + "/1", "//" + host + "/1", "http://localhost:" + w.trap.URL[strings.LastIndex(w.trap.URL, ":")+1:],
		r.a.URL + "@" + host + "/1", "http://" + own + "#@" + host + "/1", "http://" + host + "\\@" + own, "http://" + host + "#@" + own,
		"http://[::ffff:127.0.0.1]" + host[strings.LastIndex(host, ":"):], "http://169.254.169.254/latest/meta-data", "file:///etc/passwd",
		r.b.URL + "/1", r.a.URL + "/x/../1", r.a.URL + "/%2e%2e/1", r.a.URL + "/1\r\nX: y", "/1", "1",
	} {
		r.Get("/", r.a.Token(map[string]any{"status": tokentest.Status(uri, 0)})).Expect(t, http.StatusUnauthorized)
	}
	list := r.a.Lists("/moved")
	list.Answer(func(rw http.ResponseWriter, request *http.Request) {
		http.Redirect(rw, request, w.trap.URL+"/1", http.StatusFound)
	})
	r.Get("/", list.Token(0, nil)).Expect(t, http.StatusServiceUnavailable)
	w.trap.untouched(t)
	for _, path := range []string{"/1", "/x/1", "/x/../1"} {
		if r.a.Hits(path)+r.b.Hits(path) != 0 {
			t.Errorf("%s was fetched", path)
		}
	}
}

// Whoever holds tokens of many lists does not make the gateway hammer their server: at
// most sixteen fetches at once and one each second. Others go on.
func TestAttack21StatusLists(t *testing.T) {
	const lists = 3000
	r := reading(t)
	known := r.a.Lists("/known")
	r.Get("/", known.Token(0, nil)).Expect(t, http.StatusOK)
	began := time.Now()
	for i := range lists {
		status := tokentest.Status(fmt.Sprintf("%s/invented/%d", r.a.URL, i), 0)
		r.Get("/", r.a.Token(map[string]any{"status": status})).Expect(t, http.StatusServiceUnavailable)
		if i%100 == 0 {
			r.Get("/", known.Token(i/100, nil)).Expect(t, http.StatusOK)
			r.Get("/", r.a.Token(nil)).Expect(t, http.StatusOK)
		}
	}
	fetched, most := 0, 16+int(time.Since(began)/time.Second)+1
	for i := range lists {
		fetched += r.a.Hits(fmt.Sprintf("/invented/%d", i))
	}
	if fetched > most || fetched < 10 || known.Hits() != 1 {
		t.Errorf("%d fetches, want at most %d; %d of the list that is known", fetched, most, known.Hits())
	}
}

// A list may be far larger than it looks. It is inflated as far as a list may be, once,
// and not at all before its signature is known to be the issuer's.
func TestAttack23StatusListBomb(t *testing.T) {
	w := attacked(t)
	packed := tokentest.Encode(append([]byte{0x78, 0xda}, tokentest.CompressedZeros(t, 1<<30)...))
	for name, key := range map[string]*tokentest.Key{"signed": w.a.Key, "forged": w.thief} {
		t.Run(name, func(t *testing.T) {
			w := attacked(t)
			list := w.a.Lists("/bomb/" + name)
			list.Serve(key.Sign(tokentest.StatusListHeader(),
				tokentest.StatusListClaims(list.URI, map[string]any{"bits": 1, "lst": packed}, nil)))
			huge := w.a.Lists("/huge/" + name)
			huge.Serve(strings.Repeat("a", 64<<20))
			w.flat(func() {
				for _, one := range []*harness.StatusList{list, huge} {
					w.get("/a/", one.Token(0, w.unique(nil))).Expect(t, http.StatusServiceUnavailable)
				}
			})
			if list.Hits() != 1 || huge.Hits() != 1 {
				t.Errorf("%d and %d fetches", list.Hits(), huge.Hits())
			}
		})
	}
	w.accepted("/a/", w.token(nil))
}

// A list that its issuer did not sign frees nobody, and neither does one of another
// address. What cannot be told is 503, never yes.
func TestAttack05StatusListOfAnother(t *testing.T) {
	r := reading(t)
	thief := tokentest.NewKey(t, "ES256", r.a.Key.ID)
	clean := func(list *harness.StatusList) map[string]any {
		return tokentest.StatusListClaims(list.URI, tokentest.StatusList(1, []byte{0}), nil)
	}
	header := tokentest.StatusListHeader()
	for name, forge := range map[string]func(list *harness.StatusList) string{
		"thief": func(list *harness.StatusList) string { return thief.Sign(header, clean(list)) },
		"b":     func(list *harness.StatusList) string { return r.b.Key.Sign(header, clean(list)) },
		"none": func(list *harness.StatusList) string {
			return r.a.Key.Sign(map[string]any{"typ": "statuslist+jwt", "alg": "none"}, clean(list))
		},
		"token": func(list *harness.StatusList) string { return r.a.Key.Sign(nil, clean(list)) },
		"other": func(*harness.StatusList) string { return r.a.Key.Sign(header, clean(r.a.Lists("/other-list"))) },
		"expired": func(list *harness.StatusList) string {
			claims := clean(list)
			claims["exp"] = time.Now().Add(-time.Minute).Unix()
			return r.a.Key.Sign(header, claims)
		},
		"changed": func(list *harness.StatusList) string {
			parts := strings.Split(r.a.Key.Sign(header, list.Claims()), ".")
			return parts[0] + "." + tokentest.Encode(tokentest.JSON(clean(list))) + "." + parts[2]
		},
	} {
		list := r.a.Lists("/forged/" + name)
		list.Serve(forge(list))
		r.Get("/", list.Token(0, nil)).Expect(t, http.StatusServiceUnavailable)
		if list.Hits() != 1 {
			t.Errorf("%s: %d fetches", name, list.Hits())
		}
	}
	if at := harness.PartOfToken.FindStringIndex(r.Log()); at != nil {
		t.Error("the log holds a part of a token")
	}
}

// A status list is signed with the keys of access tokens, and is none.
func TestAttack48StatusList(t *testing.T) {
	w := attacked(t)
	for _, typ := range []string{"statuslist+jwt", "application/statuslist+jwt"} {
		claims := w.claims(map[string]any{"status_list": tokentest.StatusList(1, []byte{0}), "ttl": 60})
		w.refused("/a/", w.a.Key.Sign(map[string]any{"typ": typ}, claims))
	}
}
