package attack_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// bound is a token that is bound to the holder's key.
func (w *world) bound(holder *harness.Holder) string {
	return w.token(map[string]any{"cnf": holder.Binding()})
}

// proving is a request of a holder with a token and a proof for a URL.
func (w *world) proving(holder *harness.Holder, method, path, htu, token string) *http.Request {
	w.t.Helper()
	return holder.Prove(w.request(method, path, ""), htu, token, "")
}

func bare(key *tokentest.Key) map[string]any {
	public := key.JWK()
	for _, name := range []string{"use", "alg", "kid"} {
		delete(public, name)
	}
	return public
}

// The key in a proof's header signs that proof, and nothing becomes good by it.
func TestAttack03EmbeddedKeyOfProof(t *testing.T) {
	w := attacked(t)
	holder, thief := harness.NewHolder(t), harness.NewHolder(t)
	url := w.gateway.URL + "/a/"
	token := w.bound(holder)
	w.do(w.proving(holder, http.MethodGet, "/a/", url, token)).Expect(t, http.StatusOK)

	forgedToken := thief.Key.Sign(map[string]any{"jwk": bare(thief.Key)}, w.claims(map[string]any{"cnf": thief.Binding()}))
	w.refusedAs(w.proving(thief, http.MethodGet, "/a/", url, forgedToken), http.StatusUnauthorized, challengeUnkeyed)
	w.refusedAs(w.proving(thief, http.MethodGet, "/a/", url, token), http.StatusUnauthorized, challengeUnkeyed)

	claims := func() map[string]any { return harness.Claims(t, holder.Proof(http.MethodGet, url, token, "")) }
	private := bare(holder.Key)
	private["d"] = "AAAA"
	for name, made := range map[string]string{
		"the holder's key, the thief's signature": thief.Key.Sign(map[string]any{"typ": "dpop+jwt", "jwk": bare(holder.Key)}, claims()),
		"no key":               holder.Key.Sign(map[string]any{"typ": "dpop+jwt"}, claims()),
		"jku":                  holder.Key.Sign(map[string]any{"typ": "dpop+jwt", "jku": w.trap.URL + "/jwks"}, claims()),
		"x5u":                  holder.Key.Sign(map[string]any{"typ": "dpop+jwt", "x5u": w.trap.URL + "/certificate"}, claims()),
		"a private key":        holder.Key.Sign(map[string]any{"typ": "dpop+jwt", "jwk": private}, claims()),
		"a shared secret":      tokentest.HS256([]byte("secret"), map[string]any{"alg": "HS256", "typ": "dpop+jwt", "jwk": map[string]any{"kty": "oct", "k": "c2VjcmV0"}}, claims()),
		"no type":              holder.Key.Sign(map[string]any{"typ": nil, "jwk": bare(holder.Key)}, claims()),
		"an access token":      token,
		"alg none":             tokentest.Encode(tokentest.JSON(map[string]any{"alg": "none", "typ": "dpop+jwt", "jwk": bare(holder.Key)})) + "." + tokentest.Encode(tokentest.JSON(claims())) + ".",
		"the issuer's own key": w.a.Key.Sign(map[string]any{"typ": "dpop+jwt"}, claims()),
	} {
		t.Run(name, func(t *testing.T) {
			w := attacked(t)
			request := w.request(http.MethodGet, "/a/", "")
			request.Header["Authorization"] = []string{"DPoP " + token}
			request.Header["Dpop"] = []string{made}
			w.refusedAs(request, http.StatusUnauthorized, challengeProof)
		})
	}
	w.trap.untouched(t)
}

// A proof goes no further, whatever its header is spelled like and wherever the
// request goes.
func TestAttack12ProofSmuggling(t *testing.T) {
	holder := harness.NewHolder(t)
	for _, spelling := range []string{"DPoP", "dpop", "DPOP", "dPoP", "Connection: DPoP" + "\r\nDPoP", "Connection: close, dpop\r\nDpop"} {
		t.Run(spelling, func(t *testing.T) {
			w := attacked(t)
			token := w.bound(holder)
			for path, site := range map[string]string{"/a/": w.gateway.URL, "/forward/": w.gateway.URL, "/dead/": w.errors} {
				if !strings.HasPrefix(site, "http") {
					site = "http://" + site
				}
				reached, failed := len(w.upstream.Received()), len(w.failures.Received())
				made := holder.Proof(http.MethodGet, site+path, token, "")
				w.raw(site, "GET "+path+" HTTP/1.1", "Authorization: DPoP "+token, spelling+": "+made).Expect(t, http.StatusOK)
				all := slices.Concat(w.upstream.Received()[reached:], w.failures.Received()[failed:])
				if len(all) == 0 {
					t.Errorf("%s: nothing went out", path)
				}
				for _, got := range all {
					if got.Holds(made) || len(seen(got, "DPoP")) > 0 || got.Holds(token) {
						t.Errorf("%s: %s got the proof: %v", path, got.Path, got.Header)
					}
				}
			}
			first, second := holder.Proof(http.MethodGet, w.gateway.URL+"/a/", token, ""), holder.Proof(http.MethodGet, w.gateway.URL+"/a/", token, "")
			w.raw(w.gateway.URL, "GET /a/ HTTP/1.1", "Authorization: DPoP "+token, spelling+": "+first, "DPoP: "+second).Expect(t, http.StatusUnauthorized)
		})
	}
}

// Of what a stranger says about the request's past nothing counts: neither the URL
// nor the certificate.
func TestAttack15ForwardedToProof(t *testing.T) {
	w := attacked(t)
	holder, certificate := harness.NewHolder(t), harness.NewCertificate(t)
	stolen := w.proving(holder, http.MethodGet, "/a/", "https://public.example.com/a/", w.bound(holder))
	maps.Copy(stolen.Header, http.Header{
		"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"public.example.com"},
		"Forwarded": {"host=public.example.com;proto=https"}, "X-Original-Url": {"https://public.example.com/a/"},
	})
	w.refusedAs(stolen, http.StatusUnauthorized, challengeProof)

	token := w.token(map[string]any{"cnf": certificate.Binding()})
	field := ":" + base64.StdEncoding.EncodeToString(certificate.DER()) + ":"
	for _, path := range []string{"/a/", "/certificate/"} {
		for _, name := range []string{"Client-Cert", "Client_Cert", "X-Client-Cert", "X-Forwarded-Client-Cert", "Ssl-Client-Cert"} {
			request := w.request(http.MethodGet, path, token)
			request.Header[name] = []string{field}
			w.refusedAs(request, http.StatusUnauthorized, challengeInvalid)
		}
	}
}

// A proof is good for the URL it names: only what RFC 3986 calls equivalent is the
// same.
func TestAttack16ProofOfAnotherPath(t *testing.T) {
	w, holder := attacked(t), harness.NewHolder(t)
	host := strings.TrimPrefix(w.gateway.URL, "http://")
	for htu, status := range map[string]int{
		"http://" + host + "/a/x":              http.StatusOK,
		"http://" + host + "/a/x?admin=1#top":  http.StatusOK,
		"HTTP://" + host + "/a/x":              http.StatusOK,
		"http://" + host + "/a/./x":            http.StatusOK,
		"http://" + host + "/a/y/../x":         http.StatusOK,
		"http://" + host + "/a/%78":            http.StatusOK,
		"http://" + host + "/a/%2578":          http.StatusUnauthorized,
		"http://" + host + "//a/x":             http.StatusUnauthorized,
		"http://" + host + "/a//x":             http.StatusUnauthorized,
		"http://" + host + "/a%2Fx":            http.StatusUnauthorized,
		"http://" + host + "/a/x/":             http.StatusUnauthorized,
		"http://" + host + "/A/x":              http.StatusUnauthorized,
		"http://" + host + "/a/x;y":            http.StatusUnauthorized,
		"http://" + host + `/a\x`:              http.StatusUnauthorized,
		"http://" + host + "/a/x%00":           http.StatusUnauthorized,
		"http://" + host + "/":                 http.StatusUnauthorized,
		"http://user@" + host + "/a/x":         http.StatusUnauthorized,
		"http://" + host + "@evil.example/a/x": http.StatusUnauthorized,
		"http://evil.example/a/x":              http.StatusUnauthorized,
		"//" + host + "/a/x":                   http.StatusUnauthorized,
		"/a/x":                                 http.StatusUnauthorized,
		"?/a/x":                                http.StatusUnauthorized,
		"https://" + host + "/a/x":             http.StatusUnauthorized,
	} {
		t.Run(htu, func(t *testing.T) {
			w := attacked(t)
			token := w.bound(holder)
			claims := harness.Claims(t, holder.Proof(http.MethodGet, w.gateway.URL+"/a/x", token, ""))
			claims["htu"] = htu
			request := w.request(http.MethodGet, "/a/x?q=1", "")
			request.Header["Authorization"] = []string{"DPoP " + token}
			request.Header["Dpop"] = []string{holder.Key.Sign(map[string]any{"typ": "dpop+jwt", "jwk": bare(holder.Key)}, claims)}
			w.do(request).Expect(t, status)
		})
	}
}

// Marks of used proofs do not run into one another.
func TestAttack19ProofIdentifiers(t *testing.T) {
	w := attacked(t)
	alice, bob := harness.NewHolder(t), harness.NewHolder(t)
	ask := func(holder *harness.Holder, path, id string) int {
		token := w.bound(holder)
		claims := harness.Claims(t, holder.Proof(http.MethodGet, w.gateway.URL+path, token, ""))
		claims["jti"] = id
		request := w.request(http.MethodGet, path, "")
		request.Header["Authorization"] = []string{"DPoP " + token}
		request.Header["Dpop"] = []string{holder.Key.Sign(map[string]any{"typ": "dpop+jwt", "jwk": bare(holder.Key)}, claims)}
		return w.do(request).Status
	}
	for _, id := range []string{"1", "a|b", "a\x00b", "|", strings.Repeat("j", 200)} {
		for _, who := range []*harness.Holder{alice, bob} {
			for _, path := range []string{"/a/", "/a/b", "/a/%7Cb"} {
				if first, second := ask(who, path, id), ask(who, path, id); first != http.StatusOK || second != http.StatusUnauthorized {
					t.Errorf("jti %.10q at %s: %d and %d", id, path, first, second)
				}
			}
		}
	}
	if status := ask(alice, "/a/", strings.Repeat("j", 300)); status != http.StatusUnauthorized {
		t.Errorf("an endless jti: %d", status)
	}
}

// Keys' thumbprints and certificates are public: nothing is proved by knowing them.
func TestAttack39PublicBinding(t *testing.T) {
	w := attacked(t)
	victim, certificate := harness.NewHolder(t), harness.NewCertificate(t)
	byKey, byCertificate := w.bound(victim), w.token(map[string]any{"cnf": certificate.Binding()})
	thumb, _ := victim.Binding()["jkt"].(string)
	field := base64.StdEncoding.EncodeToString(certificate.DER())
	for name, headers := range map[string]http.Header{
		"as a bearer's":          {"Authorization": {"Bearer " + byKey}},
		"with the thumbprint":    {"Authorization": {"Bearer " + byKey}, "Dpop": {thumb}},
		"of a certificate":       {"Authorization": {"Bearer " + byCertificate}},
		"with the certificate":   {"Authorization": {"Bearer " + byCertificate}, "Client-Cert": {":" + field + ":"}},
		"with the plain base64":  {"Authorization": {"Bearer " + byCertificate}, "Client-Cert": {field}},
		"with its own key named": {"Authorization": {"Bearer " + w.token(map[string]any{"cnf": map[string]any{"jwk": bare(victim.Key)}})}},
		"with an empty binding":  {"Authorization": {"Bearer " + w.token(map[string]any{"cnf": map[string]any{}})}},
		"with a blank binding":   {"Authorization": {"Bearer " + w.token(map[string]any{"cnf": map[string]any{"jkt": ""}})}},
	} {
		for _, path := range []string{"/a/", "/certificate/"} {
			t.Run(name+" "+path, func(t *testing.T) {
				w := attacked(t)
				request := w.request(http.MethodGet, path, "")
				request.Header = headers.Clone()
				w.refusedAs(request, http.StatusUnauthorized, challengeInvalid)
			})
		}
	}
}

// A proof for one method is none for another.
func TestAttack44MethodOfProof(t *testing.T) {
	w := attacked(t)
	holder := harness.NewHolder(t)
	url := w.gateway.URL + "/a/"
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodDelete, http.MethodTrace, "get", "PURGE"} {
		for _, proved := range []string{http.MethodGet, http.MethodHead, http.MethodPost, "get"} {
			t.Run(method+" as "+proved, func(t *testing.T) {
				w := attacked(t)
				token := w.bound(holder)
				request := w.request(method, "/a/", "")
				request.Header["Authorization"] = []string{"DPoP " + token}
				request.Header["Dpop"] = []string{holder.Proof(proved, url, token, "")}
				if method == proved {
					w.do(request).Expect(t, http.StatusOK)
					return
				}
				w.refusedAs(request, http.StatusUnauthorized, challengeProof)
			})
		}
		plain := w.request(method, "/a/", "")
		plain.Header["Authorization"] = []string{"Bearer " + w.bound(holder)}
		w.refusedAs(plain, http.StatusUnauthorized, challengeInvalid)
	}
}

// A proof is signed, and a JWT, and no token.
func TestAttack48ProofAsToken(t *testing.T) {
	w := attacked(t)
	holder := harness.NewHolder(t)
	url := w.gateway.URL + "/a/"
	all := w.claims(map[string]any{"cnf": holder.Binding()})
	maps.Copy(all, harness.Claims(t, holder.Proof(http.MethodGet, url, w.bound(holder), "")))
	for n, made := range []string{
		holder.Proof(http.MethodGet, url, w.bound(holder), ""),
		holder.Key.Sign(map[string]any{"typ": "dpop+jwt", "jwk": bare(holder.Key)}, all),
		w.a.Key.Sign(map[string]any{"typ": "dpop+jwt"}, all),
		w.a.Key.Sign(map[string]any{"typ": "application/dpop+jwt"}, all),
	} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			w := attacked(t)
			w.refused("/a/", made)
			w.refusedAs(w.proving(holder, http.MethodGet, "/a/", url, made), http.StatusUnauthorized, challengeUnkeyed)
		})
	}
}
