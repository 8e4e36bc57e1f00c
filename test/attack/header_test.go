package attack_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const forged = "forged"

// forgeries are spellings of one header: some servers behind a gateway take them
// all for X-User.
func forgeries(name string) []string {
	under := strings.ReplaceAll(name, "-", "_")
	dotted := strings.ReplaceAll(name, "-", ".")
	return []string{
		name + ": " + forged, strings.ToLower(name) + ": " + forged, strings.ToUpper(name) + ": " + forged, "x-USER: " + forged,
		under + ": " + forged, strings.ToLower(under) + ": " + forged, strings.ToUpper(under) + ": " + forged, dotted + ": " + forged,
		name + ": a\r\n" + name + ": " + forged, under + ": a\r\n" + under + ": " + forged, under + ":" + forged + "\r\n" + name + ": " + forged,
		name + " : " + forged, name + "\t: " + forged, " " + name + ": " + forged, name + ":\r\n " + forged,
		"Connection: " + name + "\r\n" + name + ": " + forged,
	}
}

// seen are the values that a server which folds all spellings into one sees.
func seen(got harness.Received, name string) []string {
	fold := func(text string) string {
		return strings.NewReplacer("_", "-", ".", "-", " ", "").Replace(strings.ToLower(text))
	}
	var values []string
	for _, header := range slices.Sorted(maps.Keys(got.Header)) {
		if fold(header) == fold(name) {
			values = append(values, got.Header[header]...)
		}
	}
	return values
}

// An identity header that the configuration sets is never the client's, whatever
// its spelling, logged in or out.
func TestAttack12HeaderSmuggling(t *testing.T) {
	w := attacked(t)
	good := "Authorization: Bearer " + w.token(nil)
	for _, forgery := range forgeries("X-User") {
		t.Run(forgery, func(t *testing.T) {
			w := attacked(t)
			reached := len(w.upstream.Received())
			out := w.raw(w.gateway.URL, "GET /a/ HTTP/1.1", forgery)
			if out.Status != http.StatusUnauthorized && out.Status != http.StatusBadRequest || len(w.upstream.Received()) != reached {
				t.Errorf("logged out: %d, and the upstream got %v", out.Status, w.upstream.Received()[reached:])
			}
			in := w.raw(w.gateway.URL, "GET /a/ HTTP/1.1", forgery, good)
			if in.Status == http.StatusBadRequest {
				return // not a request at all
			}
			in.Expect(t, http.StatusOK)
			if got := seen(w.upstream.Last(t), "X-User"); !slices.Equal(got, []string{"a/alice"}) {
				t.Errorf("logged in: the upstream may see %q", got)
			}
			// The route behind an error knows nobody, and is told so.
			failed := len(w.failures.Received())
			w.raw(w.errors, "GET / HTTP/1.1", forgery)
			for _, got := range w.failures.Received()[failed:] {
				if slices.Contains(seen(got, "X-User"), forged) {
					t.Errorf("an error route is shown the client's X-User: %v", got.Header)
				}
			}
		})
	}
}

// The header that carries the upstream's token is the gateway's alone, even where
// Caddy is told to let underscores pass.
func TestAttack12TokenHeaderSmuggling(t *testing.T) {
	w := attacked(t)
	good := "Authorization: Bearer " + w.token(nil)
	for _, site := range []string{w.gateway.URL, w.alias} {
		for _, forgery := range forgeries("X-Upstream-Token") {
			t.Run(site+" "+forgery, func(t *testing.T) {
				w := attacked(t)
				answer := w.raw(site, "GET /header/ HTTP/1.1", forgery, good)
				if answer.Status == http.StatusBadRequest {
					return // not a request at all
				}
				answer.Expect(t, http.StatusOK)
				got := seen(w.upstream.Last(t), "X-Upstream-Token")
				if len(got) != 1 || !strings.HasPrefix(got[0], "opaque-issued-") {
					t.Errorf("the upstream may see %q", got)
				}
			})
		}
	}
}

// A trailer is no second place for a credential, announced or not: an upstream
// that merges trailers would take it for the gateway's. Others pass.
func TestAttack12Trailers(t *testing.T) {
	w := attacked(t)
	good := "Authorization: Bearer " + w.token(nil)
	trailers := strings.Join([]string{"Authorization", "authorization", "X-Upstream-Token", "X_Upstream_Token", "x.upstream.token", "X-Checksum"},
		": "+forged+"\r\n") + ": " + forged
	for _, announced := range []string{"X-Checksum", "Authorization, X-Upstream-Token, X_Upstream_Token", "X-Checksum, authorization"} {
		for _, path := range []string{"/header/", "/a/"} {
			head := "Trailer: " + announced + "\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n" + trailers
			w.raw(w.gateway.URL, "POST "+path+" HTTP/1.1", good, head).Expect(t, http.StatusOK)
			got := w.upstream.Last(t)
			got.Header = got.Trailer
			if values := seen(got, "Authorization"); len(values) > 0 {
				t.Errorf("%s, announced %s: the upstream got Authorization %q behind the body", path, announced, values)
			}
			if values := seen(got, "X-Upstream-Token"); path == "/header/" && len(values) > 0 {
				t.Errorf("%s, announced %s: the upstream got X-Upstream-Token %q behind the body", path, announced, values)
			}
			if got.Body != "body" || strings.Contains(announced, "X-Checksum") && got.Trailer.Get("X-Checksum") != forged {
				t.Errorf("%s, announced %s: the upstream got %q and %v", path, announced, got.Body, got.Trailer)
			}
		}
	}
}

// A certificate in a trailer is no proxy's: it goes no further either.
func TestAttack12CertificateInTrailer(t *testing.T) {
	w := attacked(t)
	for _, announced := range []string{"Client-Cert, Client_Cert, Client-Cert-Chain", "X-Checksum"} {
		head := "Trailer: " + announced + "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n" +
			strings.Join([]string{"Client-Cert", "client_cert", "Client-Cert-Chain", "X-Checksum"}, ": "+forged+"\r\n") + ": " + forged
		w.raw(w.gateway.URL, "POST /certificate/ HTTP/1.1", "Authorization: Bearer "+w.token(nil), head).Expect(t, http.StatusOK)
		got := w.upstream.Last(t)
		got.Header = got.Trailer
		for _, name := range []string{"Client-Cert", "Client-Cert-Chain"} {
			if values := seen(got, name); len(values) > 0 {
				t.Errorf("announced %s: the upstream got %s %q behind the body", announced, name, values)
			}
		}
	}
}

// A claim that the token does not have is not filled in by the client.
func TestAttack13ClientCopyOfAbsentClaim(t *testing.T) {
	w := attacked(t)
	nobody := w.token(map[string]any{"sub": nil})
	for _, path := range []string{"/a/", "/orders/", "/header/"} {
		request := w.request(http.MethodGet, path, nobody)
		for _, name := range []string{"X-User", "X-Email", "X-Groups", "X-Nothing", "X-Error", "X-Caller", "X-Seen"} {
			request.Header[name] = []string{"admin", forged}
		}
		if path == "/orders/" || path == "/header/" {
			request.Header.Set("Authorization", "Bearer "+w.token(map[string]any{"sub": ""}))
		}
		w.do(request).Expect(t, http.StatusOK)
		got := w.upstream.Last(t)
		for _, name := range []string{"X-User", "X-Email", "X-Groups", "X-Nothing", "X-Error", "X-Seen"} {
			if value := strings.Join(got.Header[name], ""); value != "" {
				t.Errorf("%s: the upstream is told %s: %q", path, name, got.Header[name])
			}
		}
		if got.Holds(forged) {
			t.Errorf("%s: the upstream got a header of the client's: %v", path, got.Header)
		}
	}
	with := w.accepted("/a/", w.token(map[string]any{"email": "alice@example.com", "groups": []string{"g", "h"}}))
	if with.Header.Get("X-Email") != "alice@example.com" || with.Header.Get("X-Groups") != "g h" {
		t.Errorf("with the claims the upstream is told %v", with.Header)
	}
}

// A claim that is not there is nothing, and never the placeholder's own text.
func TestAttack49AbsentClaim(t *testing.T) {
	w := attacked(t)
	reached, failed := len(w.upstream.Received()), len(w.failures.Received())
	w.accepted("/a/", w.token(map[string]any{"sub": nil, "email": nil}))
	w.accepted("/orders/", w.token(nil))
	for _, token := range []string{"", "nonsense", w.token(map[string]any{"scope": ""})} {
		w.get(w.errors+"/", token)
	}
	w.get(w.errors+"/dead/", w.token(nil))
	all := slices.Concat(w.upstream.Received()[reached:], w.failures.Received()[failed:])
	if len(all) != 6 {
		t.Errorf("%d requests went out, want 6", len(all))
	}
	for _, got := range all {
		if got.Holds("{") || got.Holds("http.auth") {
			t.Errorf("%s: the upstream is shown a placeholder: %v", got.Path, got.Header)
		}
		if got.Header.Get("X-Has-Email") != "false" {
			t.Errorf("%s: has.email is %q", got.Path, got.Header["X-Has-Email"])
		}
	}
}

// What a client names in Connection a proxy removes: not what the gateway set.
func TestAttack14HopByHop(t *testing.T) {
	for _, hop := range []string{
		"Connection: X-User, Authorization, X-Upstream-Token", "Connection: close, x-user, authorization, x-upstream-token",
		"Connection: X-User\r\nConnection: Authorization\r\nConnection: X-Upstream-Token",
		"connection:X-User,Authorization,,X-Upstream-Token", "Connection: keep-alive, X-User,\tAuthorization ,X-Upstream-Token",
		"Proxy-Connection: X-User, Authorization", "Keep-Alive: X-User, Authorization", "TE: trailers, X-User",
		"Trailer: Authorization, X-User\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Bearer " + forged + "\r\nX-User: " + forged,
	} {
		t.Run(hop, func(t *testing.T) {
			w := attacked(t)
			good := "Authorization: Bearer " + w.token(nil)
			w.raw(w.gateway.URL, "POST /orders/ HTTP/1.1", good, hop).Expect(t, http.StatusOK)
			got := w.upstream.Last(t)
			if user := got.Header["X-User"]; !slices.Equal(user, []string{"a/alice"}) {
				t.Errorf("the upstream is told X-User: %q", user)
			}
			if claims := harness.Claims(t, got.Bearer()); claims["aud"] != "orders" || len(got.Header["Authorization"]) != 1 {
				t.Errorf("the upstream got Authorization for %v", claims["aud"])
			}
			if strings.Contains(hop, "chunked") {
				return
			}
			w.raw(w.gateway.URL, "GET /header/ HTTP/1.1", good, hop).Expect(t, http.StatusOK)
			if got := w.upstream.Last(t).Header["X-Upstream-Token"]; len(got) != 1 || !strings.HasPrefix(got[0], "opaque-issued-") {
				t.Errorf("the upstream got X-Upstream-Token: %q", got)
			}
		})
	}
}

// What a stranger says about the request's past does not change what it is.
func TestAttack15ForwardedHeaders(t *testing.T) {
	w := attacked(t)
	headers := http.Header{
		"X-Forwarded-Uri": {"/public"}, "X-Forwarded-Prefix": {"/public"}, "X-Forwarded-Path": {"/public"},
		"X-Forwarded-Method": {"OPTIONS"}, "X-Http-Method-Override": {"OPTIONS"}, "X-Original-Method": {"OPTIONS"},
		"X-Forwarded-Host": {"public.example.com"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-For": {"10.9.8.7"},
		"X-Real-Ip": {"10.9.8.7"}, "Forwarded": {"for=10.9.8.7;host=public.example.com"}, "X-Client-Ip": {"10.9.8.7"},
		"X-Original-Url": {"/public"}, "X-Rewrite-Url": {"/public"}, "X-Forwarded-User": {"admin"},
		"X-Forwarded-Client-Cert": {"Subject=\"CN=admin\""}, "X-Auth-Request-User": {"admin"}, "X-Gatehouse-Caller": {"admin"},
	}
	ask := func(path, token string) *http.Request {
		request := w.request(http.MethodGet, path, token)
		maps.Copy(request.Header, headers)
		return request
	}
	lines := len(w.gateway.Audit())
	w.refusedAs(ask("/a/", ""), http.StatusUnauthorized, challengeMissing)
	w.refusedAs(ask("/a/", w.b.Token(nil)), http.StatusUnauthorized, challengeInvalid)
	w.refusedAs(ask("/roles/", w.token(nil)), http.StatusForbidden, "")
	w.do(ask("/a/", w.token(nil))).Expect(t, http.StatusOK)
	got := w.upstream.Last(t)
	if got.Header.Get("X-User") != "a/alice" || got.Path != "/a/" || got.Method != http.MethodGet {
		t.Errorf("the upstream got %s %s for %q", got.Method, got.Path, got.Header["X-User"])
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": strings.TrimPrefix(w.gateway.URL, "http://"),
	} {
		if got := got.Header[name]; !slices.Equal(got, []string{want}) {
			t.Errorf("the upstream is told %s: %q, want %q", name, got, want)
		}
	}
	harness.Eventually(t, "three refusals are in the audit trail", func() bool { return len(w.gateway.Audit()) >= lines+3 })
	for _, line := range w.gateway.Audit()[lines:] {
		if path, _ := line["path"].(string); path == "/public" || line["remote_ip"] != "127.0.0.1" || line["method"] != http.MethodGet {
			t.Errorf("the audit trail believes the client: %v", line)
		}
	}
}
