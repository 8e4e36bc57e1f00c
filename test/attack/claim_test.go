package attack_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// A key belongs to its issuer, whatever its kid: a is not to speak for b.
func TestAttack05ForeignIssuer(t *testing.T) {
	w := attacked(t)
	good := w.unique(nil)
	if a := w.accepted("/both/", w.a.Token(good)); a.Header.Get("X-User") != "a/alice" {
		t.Errorf("a's alice is %q", a.Header.Get("X-User"))
	}
	if b := w.accepted("/both/", w.b.Token(good)); b.Header.Get("X-User") != "b/alice" {
		t.Errorf("b's alice is %q", b.Header.Get("X-User"))
	}
	forged := map[string]string{
		"a signs for b":            w.a.Key.Sign(nil, w.b.Claims(good)),
		"b signs for a":            w.b.Key.Sign(nil, w.a.Claims(good)),
		"b signs for a with no id": w.b.Key.Sign(map[string]any{"kid": nil}, w.a.Claims(good)),
		"a's RSA key for b":        w.rsa.Sign(nil, w.b.Claims(good)),
		"a list of both":           w.a.Token(map[string]any{"iss": []string{w.a.URL, w.b.URL}}),
		"a slash behind":           w.a.Token(map[string]any{"iss": w.a.URL + "/"}),
		"a path behind":            w.a.Token(map[string]any{"iss": w.a.URL + "/realms/evil"}),
		"another case":             w.a.Token(map[string]any{"iss": strings.ToUpper(w.a.URL)}),
		"a blank behind":           w.a.Token(map[string]any{"iss": w.a.URL + " "}),
		"with a user":              w.a.Token(map[string]any{"iss": strings.Replace(w.a.URL, "://", "://x@", 1)}),
		"by its name":              w.a.Token(map[string]any{"iss": "a"}),
		"empty":                    w.a.Token(map[string]any{"iss": ""}),
		"absent":                   w.a.Token(map[string]any{"iss": nil}),
	}
	allRefused(t, "/both/", forged)
	// Where only one is trusted the other's good token is foreign.
	w.refused("/a/", w.b.Token(nil))
	w.refused("/b/", w.token(nil))
}

// An issuer is one of the configuration: nothing that a token names is asked.
func TestAttack20IssuerFromToken(t *testing.T) {
	w := attacked(t)
	tokens := make(map[string]string)
	for _, iss := range []string{
		w.trap.URL, w.trap.URL + "/", "http://169.254.169.254", "http://[::ffff:169.254.169.254]",
		strings.Replace(w.trap.URL, "127.0.0.1", "localhost", 1), w.a.URL + "@" + strings.TrimPrefix(w.trap.URL, "http://"),
	} {
		tokens[iss] = w.thief.Sign(nil, tokentest.Claims(iss, nil))
	}
	allRefused(t, "/a/", tokens)
	w.trap.untouched(t)
}

func TestAttack06Audience(t *testing.T) {
	w := attacked(t)
	const api = "https://api.example.com"
	for name, aud := range map[string]any{"text": api, "list": []string{api}, "among others": []string{"x", api}} {
		t.Run("good "+name, func(t *testing.T) { attacked(t).accepted("/a/", w.token(map[string]any{"aud": aud})) })
	}
	tokens := make(map[string]string)
	for _, aud := range []any{
		"https://other.example.com",
		[]string{"x", "y"},
		"https://api.example.co", api + "-admin", api + "/", api + "/orders",
		"https://api", "HTTPS://API.EXAMPLE.COM", " " + api, api + " other", "api.example.com", "*", "any", "",
		[]string{},
		[]string{""},
		1, true,
		map[string]any{api: true},
		[]any{api, 1},
		[]any{[]string{api}},
		[]any{nil, api},
	} {
		tokens[fmt.Sprintf("%.60v", aud)] = w.token(map[string]any{"aud": aud})
	}
	tokens["absent"] = w.token(map[string]any{"aud": nil})
	tokens["null"] = w.a.Key.SignRaw([]byte(`{"alg":"ES256","kid":"k1"}`),
		[]byte(strings.Replace(string(tokentest.JSON(w.claims(nil))), `"aud":"`+api+`"`, `"aud":null`, 1)))
	allRefused(t, "/a/", tokens)
}

// An ID token says who logged in at a client; it opens nothing.
func TestAttack07IDToken(t *testing.T) {
	w := attacked(t)
	tokens := make(map[string]string)
	for _, typ := range []any{"JWT", "at+jwt", nil} {
		header := map[string]any{"typ": typ}
		w.accepted("/a/", w.a.Key.Sign(header, w.claims(nil)))
		for name, value := range map[string]any{"nonce": "n", "at_hash": "h", "c_hash": "h", "typ": "ID"} {
			tokens[fmt.Sprintf("typ %v, claim %s", typ, name)] = w.a.Key.Sign(header, w.claims(map[string]any{name: value}))
		}
	}
	tokens["empty nonce"] = w.a.Key.Sign(map[string]any{"typ": "JWT"}, w.claims(map[string]any{"nonce": ""}))
	tokens["claim typ id"] = w.token(map[string]any{"typ": "id"})
	allRefused(t, "/a/", tokens)
}

func TestAttack08Dates(t *testing.T) {
	w := attacked(t)
	now := float64(time.Now().Unix())
	for name, exp := range map[string]any{"fraction": now + 60.5, "exponent": now * 1.01, "year 9999": 253402300799} {
		t.Run("good "+name, func(t *testing.T) {
			token := w.token(map[string]any{"exp": exp})
			attacked(t).accepted("/a/", token)
			attacked(t).accepted("/a/", token) // remembered, if it is
		})
	}
	tokens := map[string]string{"exp absent": w.token(map[string]any{"exp": nil})}
	for _, exp := range []any{
		1e300, math.MaxFloat64, 253402300800, uint64(math.MaxInt64) + 1, uint64(math.MaxUint64), -1, -1e300, 0, now - 31,
		fmt.Sprint(now + 60), "", "never", true,
		[]float64{now + 60},
		map[string]any{"v": now + 60},
	} {
		tokens[fmt.Sprintf("exp %v", exp)] = w.token(map[string]any{"exp": exp})
	}
	for _, name := range []string{"nbf", "iat"} {
		for _, date := range []any{now + 90, 1e300, -1, "0", true, []float64{0}} {
			tokens[fmt.Sprintf("%s %v", name, date)] = w.token(map[string]any{name: date})
		}
	}
	for _, exp := range []string{"1e999", "-0e999999999", "NaN", "Infinity", "0x7fffffff", "00", "null", "1e", strings.Repeat("9", 400)} {
		tokens[fmt.Sprintf("exp %.20s", exp)] = w.a.Key.SignRaw([]byte(`{"alg":"ES256","kid":"k1"}`),
			fmt.Appendf(nil, `{"iss":%q,"aud":"https://api.example.com","sub":"alice","exp":%s}`, w.a.URL, exp))
	}
	allRefused(t, "/a/", tokens)
}

// Claims of a wrong type are refused; a rule never holds by a conversion. That
// nothing panics is seen when the gateway ends.
func TestAttack09ClaimTypes(t *testing.T) {
	w := attacked(t)
	tokens := make(map[string]string)
	wrong := []any{1, true, []any{}, []any{1, map[string]any{}}, map[string]any{"a": 1}, []any{[]any{"x"}}}
	for _, name := range []string{"sub", "iss", "jti", "acr", "client_id", "azp", "scope", "scp", "act"} {
		for _, value := range wrong {
			changes := map[string]any{name: value}
			switch {
			case name == "azp":
				changes["client_id"] = nil
			case name == "scp":
				changes["scope"] = nil
			case name == "act" && fmt.Sprint(value) == "map[a:1]":
				continue // an actor without a name: a legal object
			}
			if empty, ok := value.([]any); ok && len(empty) == 0 && (name == "scope" || name == "scp") {
				continue // no scopes, as a list
			}
			tokens[fmt.Sprintf("%s %v", name, value)] = w.token(changes)
		}
	}
	header := []byte(`{"alg":"ES256","kid":"k1"}`)
	for _, payload := range []string{`[]`, `"text"`, `null`, `1`, `true`, `{}`, ` `, `{`, strings.Repeat(`{"a":`, 500) + `1` + strings.Repeat(`}`, 500)} {
		tokens[fmt.Sprintf("payload %.10s", payload)] = w.a.Key.SignRaw(header, []byte(payload))
		tokens[fmt.Sprintf("header %.10s", payload)] = w.a.Key.SignRaw([]byte(payload), tokentest.JSON(w.claims(nil)))
	}
	allRefused(t, "/a/", tokens)
}

func TestAttack09RuleOnClaimOfAnotherType(t *testing.T) {
	w := attacked(t)
	w.accepted("/roles/", w.token(map[string]any{"roles": "admin"}))
	w.accepted("/roles/", w.token(map[string]any{"roles": []any{1, "admin"}}))
	for _, roles := range []any{
		map[string]any{"a": 1},
		map[string]any{"admin": true},
		map[string]any{"roles": "admin"},
		[]any{[]string{"admin"}},
		[]any{map[string]any{"admin": 1}},
		[]any{1, map[string]any{}},
		[]any{},
		1, true, "", "Admin", "administrator", "user admin", "admin,user",
		[]string{"user,admin"},
		`["admin"]`, "admin\x00", nil,
	} {
		t.Run(fmt.Sprint(roles), func(t *testing.T) {
			w := attacked(t)
			w.refusedAs(w.request(http.MethodGet, "/roles/", w.token(map[string]any{"roles": roles})), http.StatusForbidden, "")
		})
	}
}

// Two readers of one text must not see two things.
func TestAttack10DuplicateMembers(t *testing.T) {
	w := attacked(t)
	header := `{"alg":"ES256","kid":"k1"}`
	payload := func(more string) string {
		return fmt.Sprintf(`{"iss":%q,"aud":"https://api.example.com","exp":%d,"sub":"alice"%s}`, w.a.URL, time.Now().Unix()+60, more)
	}
	sign := func(header, payload string) string { return w.a.Key.SignRaw([]byte(header), []byte(payload)) }
	w.accepted("/a/", sign(header, payload(``)))
	w.accepted("/a/", sign(header, payload(`,"Sub":"mallory"`))) // another name, and not a subject
	allRefused(t, "/a/", map[string]string{
		"sub twice":           sign(header, payload(`,"sub":"mallory"`)),
		"the same twice":      sign(header, payload(`,"sub":"alice"`)),
		"written otherwise":   sign(header, payload(`,"s\u0075b":"mallory"`)),
		"aud twice":           sign(header, payload(`,"aud":"x"`)),
		"in an object":        sign(header, payload(`,"act":{"sub":"x","sub":"y"}`)),
		"in a list":           sign(header, payload(`,"x":[{"a":1,"a":2}]`)),
		"alg twice":           sign(`{"alg":"none","alg":"ES256","kid":"k1"}`, payload(``)),
		"kid twice":           sign(`{"alg":"ES256","kid":"k1","kid":"k1"}`, payload(``)),
		"object behind":       sign(header, payload(``)+`{"sub":"mallory"}`),
		"brace behind":        sign(header, payload(``)+`}`),
		"NUL behind":          sign(header, payload(``)+"\x00"),
		"header, text behind": sign(header+`x`, payload(``)),
		"byte order mark":     sign(header, "\xef\xbb\xbf"+payload(``)),
		"invalid UTF-8":       sign(header, payload(",\"x\":\"\xff\"")),
		"half a surrogate":    sign(header, payload(`,"x":"\ud800"`)),
		"comma at the end":    sign(header, payload(`,`)),
		"comment":             sign(header, payload(`/*x*/`)),
		"line break in text":  sign(header, payload(",\"x\":\"\n\"")),
	})
}
