package attack_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// The gateway's public key is public: as a secret of HMAC it signs nothing.
func TestAttack01MintedConfusion(t *testing.T) {
	w := minted(t)
	key := w.ownKey()
	jwk := key.PublicJWK()
	for _, secret := range []string{jwk["x"], jwk["y"], string(tokentest.JSON(jwk))} {
		header := map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": key.ID()}
		w.refused("/stock/", tokentest.HS256([]byte(secret), header, w.forged(nil)))
	}
}

func TestAttack02MintedNone(t *testing.T) {
	w := minted(t)
	parts := strings.Split(w.issued("/orders/", w.idp.Token(nil)), ".")
	for _, alg := range []string{"none", "NoNe", ""} {
		head := tokentest.Encode(tokentest.JSON(map[string]any{"alg": alg, "typ": "at+jwt"}))
		for _, signature := range []string{"", parts[2]} {
			w.refused("/stock/", head+"."+parts[1]+"."+signature)
		}
	}
	w.refused("/stock/", parts[0]+"."+parts[1]+".")
	w.refused("/stock/", "..", http.StatusUnauthorized, http.StatusBadRequest)
}

func TestAttack03MintedEmbeddedKey(t *testing.T) {
	w := minted(t)
	key := tokentest.NewKey(t, "ES256", w.ownKey().ID())
	for _, header := range []map[string]any{
		{"jwk": key.JWK()}, {"jku": w.trap.URL + "/jwks"}, {"x5u": w.trap.URL + "/cert"},
	} {
		header["typ"] = "at+jwt"
		w.refused("/stock/", key.Sign(header, w.forged(nil)))
	}
	w.trap.untouched(t)
}

func TestAttack04MintedKid(t *testing.T) {
	w := minted(t)
	key := tokentest.NewKey(t, "ES256", "")
	for _, kid := range []any{"../../keyset.json", "", 7, []any{"k"}, "\x00", strings.Repeat("k", 1<<20)} {
		w.refused("/stock/", key.Sign(map[string]any{"typ": "at+jwt", "kid": kid}, w.forged(nil)), http.StatusUnauthorized, http.StatusBadRequest)
	}
}

// A server whose tokens are trusted signs none in the gateway's name, and the gateway
// none in a server's.
func TestAttack05MintedCrossIssuer(t *testing.T) {
	w := minted(t)
	key := *w.idp.Key
	w.refused("/stock/", key.Sign(map[string]any{"typ": "at+jwt"}, w.forged(nil)))
	key.ID = w.ownKey().ID()
	w.refused("/stock/", key.Sign(map[string]any{"typ": "at+jwt"}, w.forged(nil)))
	w.refused("/stock/", w.idp.Token(map[string]any{"aud": "orders"}))
}

// What was minted for stock opens nothing that wants orders, and a caller's token of
// another API mints nothing.
func TestAttack06MintedAudience(t *testing.T) {
	w := minted(t)
	orders := w.issued("/orders/", w.idp.Token(nil))
	w.refused("/stock/", w.issued("/stock/", orders))
	for _, aud := range []any{"orders", "https://api.example.com.evil", []any{"https://other.example.com"}, nil} {
		w.refused("/orders/", w.idp.Token(map[string]any{"aud": aud}))
	}
}

func TestAttack07MintedFromIDToken(t *testing.T) {
	w := minted(t)
	w.refused("/orders/", w.idp.Token(map[string]any{"nonce": "n"}))
	// Nor does a claim of the caller's make the minted token look like one.
	for _, name := range []string{"nonce", "at_hash", "events"} {
		if claims := w.claims("/orders/", w.idp.Token(map[string]any{"jti": name})); claims[name] != nil {
			t.Errorf("%s got into the minted token", name)
		}
	}
}

func TestAttack08MintedExpiry(t *testing.T) {
	w := minted(t)
	for _, exp := range []any{nil, 1e300, "9999999999", -1, time.Now().Add(-time.Minute).Unix()} {
		w.refused("/orders/", w.idp.Token(map[string]any{"exp": exp}))
	}
	end := float64(time.Now().Add(40*time.Second).Unix()) + 0.9
	claims := w.claims("/orders/", w.idp.Token(map[string]any{"exp": end}))
	if number(claims["exp"]) > end {
		t.Errorf("exp %v, the caller's is %f", claims["exp"], end)
	}
}

func number(claim any) float64 {
	n, _ := claim.(float64)
	return n
}

// Claims of odd types mint nothing, or are copied as what they are.
func TestAttack09MintedClaimTypes(t *testing.T) {
	w := minted(t)
	for name, changes := range map[string]map[string]any{
		"scope of odd elements": {"scope": []any{1, map[string]any{}}},
		"scope an object":       {"scope": map[string]any{"orders:read": true}},
		"act a text":            {"act": "gateway"},
		"act a list":            {"act": []any{map[string]any{"sub": "a"}}},
		"sub a number":          {"sub": 42},
		"may_act a text":        {"may_act": w.URL},
	} {
		t.Run(name, func(*testing.T) {
			w.refused("/orders/", w.idp.Token(changes), http.StatusUnauthorized, http.StatusForbidden)
		})
	}
	odd := map[string]any{"a": []any{1, nil, true, `"},"sub":"root`}}
	claims := w.claims("/orders/", w.idp.Token(map[string]any{"roles": odd, "amr": []any{"pwd"}, "auth_time": 1.5}))
	if got := string(tokentest.JSON(claims["roles"])); got != string(tokentest.JSON(odd)) {
		t.Errorf("roles %s", got)
	}
}

// No member of a minted token is there twice, whatever the caller's says.
func TestAttack10MintedDuplicates(t *testing.T) {
	w := minted(t)
	text := string(tokentest.JSON(w.idp.Claims(nil)))
	twice := strings.Replace(text, "{", `{"sub":"root",`, 1)
	w.refused("/orders/", w.idp.Key.SignRaw(tokentest.JSON(map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": w.idp.Key.ID}), []byte(twice)))
	full := map[string]any{"organisation": "t", "roles": []any{"a"}, "act": map[string]any{"sub": "x"}, "txn": "t", "acr": "a", "client_id": "c"}
	jws, err := jose.ParseJWS(w.issued("/orders/", w.idp.Token(full)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jose.ParseObject(jws.Payload); err != nil {
		t.Errorf("%v in %s", err, jws.Payload)
	}
}

func TestAttack11MintedFromTampered(t *testing.T) {
	w := minted(t)
	parts := strings.Split(w.idp.Token(nil), ".")
	parts[1] = tokentest.Encode(tokentest.JSON(w.idp.Claims(map[string]any{"sub": "canary-tampered"})))
	answer := w.refused("/orders/", strings.Join(parts, "."))
	if strings.Contains(answer.Body+w.Log(), "canary-tampered") {
		t.Error("an unverified claim got out")
	}
}

// Two callers never get one token, and no subject reads as another's, whatever
// separators it holds.
func TestAttack19MintedDelimiters(t *testing.T) {
	w := minted(t)
	seen := make(map[string]string)
	for _, sub := range []string{"a", "a|b", "a#b", "#a", "a\r\nb", `a","admin":"b`, w.other.URL + "#a", "a\x1f"} {
		for _, idp := range []*harness.AuthServer{w.idp, w.other} {
			claims := w.claims("/orders/", idp.Token(map[string]any{"sub": sub}))
			got, _ := claims["sub"].(string)
			who := idp.URL + " " + sub
			if got != idp.URL+"#"+sub || claims["admin"] != nil || seen[got] != "" {
				t.Errorf("%q is called %q, as is %q", who, got, seen[got])
			}
			seen[got] = who
		}
	}
	// The gateway's own tokens are not scoped again, so a name stays one name.
	first := w.issued("/orders/", w.idp.Token(map[string]any{"sub": "a#b"}))
	if got := w.claims("/stock/", first)["sub"]; got != w.idp.URL+"#a#b" {
		t.Errorf("on the next hop: %v", got)
	}
}

func TestAttack24MintedCost(t *testing.T) {
	w := minted(t)
	for _, text := range []string{strings.Repeat(".", 1<<20), strings.Repeat("a.", 1<<19), strings.Repeat("A", 1<<20)} {
		w.refused("/stock/", text, http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestHeaderFieldsTooLarge)
	}
}

func TestAttack37MintedCredentials(t *testing.T) {
	w := minted(t)
	reached := len(w.upstream.Received())
	good, bad := w.idp.Token(nil), w.idp.Token(map[string]any{"sub": "mallory"})
	request := w.Request(http.MethodGet, "/orders/", good)
	request.Header["Authorization"] = append(request.Header["Authorization"], "Bearer "+bad)
	w.Do(request).Expect(t, http.StatusBadRequest)
	if len(w.upstream.Received()) != reached {
		t.Error("the upstream was reached")
	}
	// Other places are not looked at.
	request = w.Request(http.MethodGet, "/orders/?access_token="+bad, good)
	request.Header.Set("Txn-Token", bad)
	w.Do(request).Expect(t, http.StatusOK)
	_, claims := harness.Minted(t, w.storage, w.upstream.Last(t).Bearer())
	if claims["sub"] != w.idp.URL+"#alice" {
		t.Errorf("minted for %v", claims["sub"])
	}
}

// Nothing that a caller sends or holds widens what is minted.
func TestAttack45MintedWidening(t *testing.T) {
	w := minted(t)
	token := w.idp.Token(map[string]any{
		"scope": "orders:read admin orders:reader", "aud": []any{"https://api.example.com", "stock"},
		"cnf": nil, "exp": time.Now().Add(24 * time.Hour).Unix(), "organisation": "acme", "email": "a@b.example",
		"authorization_details": []any{map[string]any{"type": "all"}}, "client_id": w.URL,
	})
	claims := w.claims("/orders/?audience=stock&scope=admin&lifetime=1h", token)
	if claims["scope"] != "orders:read" || claims["aud"] != "orders" || claims["iss"] != w.URL {
		t.Errorf("scope %v, aud %v, iss %v", claims["scope"], claims["aud"], claims["iss"])
	}
	for _, name := range []string{"authorization_details", "email", "may_act"} {
		if claims[name] != nil {
			t.Errorf("%s went along", name)
		}
	}
	if life := number(claims["exp"]) - float64(time.Now().Unix()); life > 120 {
		t.Errorf("it lives %f seconds", life)
	}
	// The next hop holds what this one got, and no more.
	next := w.claims("/stock/", w.issued("/orders/", token))
	if number(next["exp"]) > number(claims["exp"]) || next["scope"] != "orders:read" {
		t.Errorf("the next hop: exp %v, scope %v", next["exp"], next["scope"])
	}
	w.refused("/stock/", w.issued("/orders/", w.idp.Token(map[string]any{"scope": "orders:write"})), http.StatusForbidden)
}

// What the gateway minted is for the upstream: its front door opens only where an
// issuer block names the gateway itself, and to access tokens alone.
func TestAttack48MintedAtTheFrontDoor(t *testing.T) {
	w := minted(t)
	access, transaction := w.issued("/orders/", w.idp.Token(nil)), w.issued("/txn/", w.idp.Token(nil))
	for _, path := range []string{"/orders/", "/txn/", "/optional/"} {
		w.refused(path, access)
		w.refused(path, transaction)
	}
	w.refused("/stock/", transaction)
	if claims := w.claims("/stock/", access); claims["aud"] != "stock" {
		t.Errorf("aud %v", claims["aud"])
	}
	lines := w.Lines("an upstream's token is for an audience that the front door accepts: an upstream could use it as a caller")
	if len(lines) != 2 || lines[0]["audience"] != "orders" || lines[0]["accepted_by"] != "issuer own" {
		t.Errorf("warnings at load: %v", lines)
	}
}

func TestAttack52MintedForNobody(t *testing.T) {
	w := minted(t)
	w.refused("/optional/", "")
	w.refused("/orders/", "")
}
