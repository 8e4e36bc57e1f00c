package integration_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// An exchange whose token is bound, before two upstreams. The route /plain has
// no transport for it.
const boundExchange = `{
	gatehouse {
` + harness.BoundOrders + `	}
}
$SITE {
	token_auth
	token_exchange orders
	handle_path /plain/* {
		reverse_proxy $SECOND
	}
	handle {
		rewrite * /api{uri}
		reverse_proxy $FIRST $SECOND {
			lb_policy first
			lb_retries 1
			fail_duration 5s
			transport gatehouse {
				dial_timeout 2s
			}
		}
	}
}
`

// A prover's judge is the server's and the upstreams' half of RFC 9449.
type judge struct {
	t    *testing.T
	dpop *proof.DPoP
	mu   sync.Mutex
	key  [32]byte
	seen []string
}

func newJudge(t *testing.T) *judge {
	t.Helper()
	dpop, err := proof.NewDPoP(proof.DPoPConfig{Marks: store.NewMemory(0)})
	if err != nil {
		t.Fatal(err)
	}
	return &judge{t: t, dpop: dpop}
}

// check verifies the proof of a request, with the hash of the token, if any.
func (j *judge) check(r *http.Request, token string) bool {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	request := proof.Request{Proofs: r.Header.Values("DPoP"), Method: r.Method, URLs: []string{scheme + r.Host + r.URL.EscapedPath()}}
	if token != "" {
		request.Token = sha256.Sum256([]byte(token))
	}
	proved, err := j.dpop.Check(r.Context(), request)
	if err != nil {
		j.t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.key == [32]byte{} {
		j.key = proved.Key
	}
	j.seen = append(j.seen, request.Proofs...)
	return j.key == proved.Key
}

func (j *judge) jkt() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return base64.RawURLEncoding.EncodeToString(j.key[:])
}

// nonceIn reads the nonce of a proof that check has verified.
func nonceIn(t *testing.T, r *http.Request) any {
	t.Helper()
	return harness.Claims(t, r.Header.Get("DPoP"))["nonce"]
}

// upstream refuses all but a bound token with a good proof of that very request.
func (j *judge) upstream(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	if !ok || !j.check(r, token) || r.URL.Path == "" {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// tokens is a token endpoint that binds, and wants a nonce first.
func (j *judge) tokens(idp *harness.AuthServer, changes map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if id, secret, _ := r.BasicAuth(); id != harness.ClientID || secret != harness.ClientSecret || r.ParseForm() != nil || !j.check(r, "") {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
			return
		}
		if nonceIn(j.t, r) != "nonce-1" {
			w.Header().Set("DPoP-Nonce", "nonce-1")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"use_dpop_nonce"}`))
			return
		}
		token := idp.Key.Sign(nil, idp.Claims(map[string]any{"aud": "orders", "cnf": map[string]any{"jkt": j.jkt(), "kc-jkt-type": "DPoP"}}))
		members := idp.Issued(r.PostForm, map[string]any{"token_type": "DPoP", "access_token": token})
		maps.Copy(members, changes)
		_ = json.NewEncoder(w).Encode(members)
	}
}

// RFC 9449, sections 5, 7 and 8: the token is bound, each attempt has a proof of its
// own for the URL that its upstream sees, and the nonce of the server is used. The
// answer can be verified all the same.
func TestBindDPoP(t *testing.T) {
	t.Parallel()
	caddyfile := strings.Replace(boundExchange, "bind dpop\n", "bind dpop\n\t\t\taccept {\n\t\t\t\tverify main\n\t\t\t}\n", 1)
	idp, first, second, judge := harness.NewAuthServer(t), harness.NewUpstream(t), harness.NewUpstream(t), newJudge(t)
	idp.Handle("/bound-token", judge.tokens(idp, nil))
	first.Respond(func(w http.ResponseWriter, r *http.Request) {
		judge.upstream(w, r)
		panic(http.ErrAbortHandler) // the connection breaks, so the next upstream is tried
	})
	second.Respond(judge.upstream)
	gateway := harness.Start(t, caddyfile, "$IDP", idp.URL, "$FIRST", first.Address, "$SECOND", second.Address)
	token := idp.Token(nil)
	gateway.Await("/orders/a%20b?q=1", token, http.StatusOK)
	tried := append(first.Received(), second.Received()...)
	if len(first.Received()) == 0 || len(second.Received()) == 0 {
		t.Fatal("not both upstreams were tried")
	}
	proofs := make(map[string]bool)
	for _, received := range tried {
		claims := harness.Claims(t, received.Header.Get("DPoP"))
		if proofs[received.Header.Get("DPoP")] || claims["htu"] != "http://"+received.Host+"/api/orders/a%20b" {
			t.Errorf("proof of another attempt, or for %v", claims["htu"])
		}
		proofs[received.Header.Get("DPoP")] = true
		if received.Holds(token) {
			t.Error("the caller's token reached an upstream")
		}
	}
	// The key outlives a reload, as the remembered tokens do.
	if err := gateway.Reload(strings.Replace(caddyfile, "fail_duration 5s", "fail_duration 6s", 1)); err != nil {
		t.Fatal(err)
	}
	gateway.Get("/again", token).Expect(t, http.StatusOK)
	if log := gateway.Log(); harness.PartOfToken.MatchString(log) || strings.Contains(log, "canary") {
		t.Error("a token or a secret is in the log")
	}
}

// A reverse_proxy without the transport sends nothing at all: the token would be
// useless there, and a request without one is another request.
func TestBindDPoPNeedsTheTransport(t *testing.T) {
	t.Parallel()
	idp, upstream, judge := harness.NewAuthServer(t), harness.NewUpstream(t), newJudge(t)
	idp.Handle("/bound-token", judge.tokens(idp, nil))
	gateway := harness.Start(t, boundExchange, "$IDP", idp.URL, "$FIRST", upstream.Address, "$SECOND", upstream.Address)
	gateway.Await("/plain/x", idp.Token(nil), http.StatusInternalServerError)
	if n := len(upstream.Received()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	harness.Eventually(t, "the log names the directive", func() bool {
		lines := gateway.Lines("route is misconfigured")
		return len(lines) > 0 && strings.Contains(lines[0]["problem"].(string), "transport gatehouse")
	})
}

// RFC 9449, section 5: what comes back unbound, or bound to somebody else's key, is
// not used.
func TestBindDPoPRefusesOtherAnswers(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string]map[string]any{
		"bearer": {"token_type": "Bearer"},
		"other key": {"access_token": harness.NewAuthServer(t).Token(map[string]any{
			"cnf": map[string]any{"jkt": base64.RawURLEncoding.EncodeToString(make([]byte, 32))},
		})},
	} {
		t.Run(name, func(t *testing.T) {
			idp, upstream, judge := harness.NewAuthServer(t), harness.NewUpstream(t), newJudge(t)
			idp.Handle("/bound-token", judge.tokens(idp, changes))
			gateway := harness.Start(t, boundExchange, "$IDP", idp.URL, "$FIRST", upstream.Address, "$SECOND", upstream.Address)
			gateway.Await("/x", idp.Token(nil), http.StatusBadGateway)
			if n := len(upstream.Received()); n != 0 {
				t.Errorf("%d requests reached the upstream", n)
			}
		})
	}
}

// RFC 9449, section 9: an upstream that wants a nonce gets it.
func TestBindDPoPUpstreamNonce(t *testing.T) {
	t.Parallel()
	idp, upstream, judge := harness.NewAuthServer(t), harness.NewUpstream(t), newJudge(t)
	idp.Handle("/bound-token", judge.tokens(idp, nil))
	upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		if nonceIn(t, r) != "upstream-1" {
			w.Header().Set("DPoP-Nonce", "upstream-1")
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("DPoP-Nonce", "upstream-1")
		judge.upstream(w, r)
	})
	gateway := harness.Start(t, boundExchange, "$IDP", idp.URL, "$FIRST", upstream.Address, "$SECOND", upstream.Address)
	// The nonce is the gateway's. A caller would prove a key of its own with it.
	if got := gateway.Await("/x", idp.Token(nil), http.StatusOK); got.Header.Get("DPoP-Nonce") != "" {
		t.Errorf("the caller got the upstream's nonce: %v", got.Header)
	}
}

// The gateway's own token goes back to the server that made it, and to nobody else:
// it is a bearer token, while the upstream's is bound.
func TestBindDPoPLeavesTheActorUnbound(t *testing.T) {
	t.Parallel()
	idp, upstream, judge := harness.NewAuthServer(t), harness.NewUpstream(t), newJudge(t)
	exchange, own := judge.tokens(idp, nil), idp.Token(map[string]any{"sub": "gateway"})
	idp.Handle("/bound-token", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("grant_type") == "client_credentials" {
			if r.Header.Get("DPoP") != "" {
				t.Error("a proof for the gateway's own token")
			}
			_ = json.NewEncoder(w).Encode(idp.Issued(r.PostForm, map[string]any{"access_token": own}))
			return
		}
		if r.PostFormValue("actor_token") != own {
			t.Error("another actor_token")
		}
		exchange(w, r)
	})
	gateway := harness.Start(t, strings.Replace(boundExchange, "bind dpop", "bind dpop\nactor self", 1),
		"$IDP", idp.URL, "$FIRST", upstream.Address, "$SECOND", upstream.Address)
	upstream.Respond(judge.upstream)
	gateway.Await("/x", idp.Token(nil), http.StatusOK)
}
