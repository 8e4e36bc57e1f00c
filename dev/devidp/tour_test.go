package devidp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// members decodes a JSON object.
func members(t *testing.T, body string) map[string]any {
	t.Helper()
	decoded := make(map[string]any)
	if err := json.Unmarshal([]byte(body), &decoded); err != nil {
		t.Fatalf("not a JSON object: %.300s", body)
	}
	return decoded
}

// claims reads a JWT's payload; signatures are the provider package's business.
func claims(t *testing.T, token any) map[string]any {
	t.Helper()
	raw, _ := token.(string)
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", raw)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return members(t, string(payload))
}

// TestTour drives the real process through everything it offers.
func TestTour(t *testing.T) {
	p := newProcess(t)
	p.run()
	var endpoints map[string]any
	t.Run("discovery and keys", func(t *testing.T) {
		_, _, body := p.call(http.MethodGet, p.issuer+"/.well-known/openid-configuration", nil, nil)
		endpoints = members(t, body)
		if endpoints["issuer"] != p.issuer {
			t.Errorf("issuer %v", endpoints["issuer"])
		}
		_, _, body = p.call(http.MethodGet, endpoints["jwks_uri"].(string), nil, nil)
		if keys, _ := members(t, body)["keys"].([]any); len(keys) != 1 {
			t.Errorf("keys %s", body)
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	token := endpoints["token_endpoint"].(string)
	t.Run("client credentials", func(t *testing.T) {
		status, _, body := p.call(http.MethodPost, token, url.Values{"grant_type": {"client_credentials"}, "scope": {"orders:read"}}, asGateway)
		if got := claims(t, members(t, body)["access_token"]); status != http.StatusOK || got["sub"] != "gateway" || got["scope"] != "orders:read" {
			t.Errorf("%d %v", status, got)
		}
	})
	var user string
	t.Run("sign-in", func(t *testing.T) { user = p.signIn(t, endpoints) })
	t.Run("exchange", func(t *testing.T) {
		status, _, body := p.call(http.MethodPost, token, url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {user},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "audience": {"orders"}, "scope": {"orders:read"},
		}, asGateway)
		if got := claims(t, members(t, body)["access_token"]); status != http.StatusOK || got["sub"] != "alice" || got["client_id"] != "gateway" {
			t.Errorf("%d %v", status, got)
		}
	})
	t.Run("introspection and revocation", func(t *testing.T) { p.revoke(t, user) })
	t.Run("faults", func(t *testing.T) { p.misbehave(t, token) })
	t.Run("loopback names only", func(t *testing.T) {
		for host, want := range map[string]int{"evil.example": http.StatusForbidden, "app.localhost": http.StatusOK} {
			// The site matches its own host only, so the name is tried where every host arrives.
			if got := p.askAs(t, host); got != want {
				t.Errorf("Host %s: %d, want %d", host, got, want)
			}
		}
	})
	t.Run("other paths pass", func(t *testing.T) {
		if status, _, body := p.call(http.MethodGet, p.issuer+"/other", nil, nil); status != http.StatusOK || body != "other" {
			t.Errorf("%d %s", status, body)
		}
	})
}

// revoke sees a token die.
func (p *process) revoke(t *testing.T, token string) {
	t.Helper()
	active := func() any {
		_, _, body := p.call(http.MethodPost, p.issuer+"/introspect", url.Values{"token": {token}}, asGateway)
		return members(t, body)["active"]
	}
	before := active()
	status, _, _ := p.call(http.MethodPost, p.issuer+"/revoke", url.Values{"token": {token}, "client_id": {"web"}}, nil)
	if before != true || status != http.StatusOK || active() != false {
		t.Errorf("before %v, revoked with %d", before, status)
	}
}

// misbehave sets a fault with the token that was printed, and meets it.
func (p *process) misbehave(t *testing.T, tokenEndpoint string) {
	t.Helper()
	fault := url.Values{"endpoint": {"token"}, "status": {"503"}, "times": {"1"}}
	if status, _, _ := p.call(http.MethodPost, p.issuer+"/dev/faults", fault, nil); status != http.StatusUnauthorized {
		t.Errorf("without the token: %d", status)
	}
	if status, _, body := p.call(http.MethodPost, p.issuer+"/dev/faults", fault, p.asTester); status != http.StatusOK {
		t.Errorf("with the token: %d %s", status, body)
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if status, _, _ := p.call(http.MethodPost, tokenEndpoint, form, asGateway); status != http.StatusServiceUnavailable {
		t.Errorf("the fault did not bite: %d", status)
	}
}

// signIn goes the way of a browser and returns alice's access token.
func (p *process) signIn(t *testing.T, endpoints map[string]any) string {
	t.Helper()
	const verifier, redirect = "a-verifier-that-is-long-enough-for-rfc-7636-section-4-1", "http://127.0.0.1:8080/callback"
	sum := sha256.Sum256([]byte(verifier))
	query := url.Values{
		"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {redirect}, "scope": {"openid orders:read"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	_, header, _ := p.call(http.MethodGet, endpoints["authorization_endpoint"].(string)+"?"+query.Encode(), nil, nil)
	page, err := url.Parse(header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	status, _, body := p.call(http.MethodGet, page.String(), nil, nil)
	if status != http.StatusOK || !strings.Contains(body, "<form") {
		t.Fatalf("login page: %d %s", status, body)
	}
	_, header, _ = p.call(http.MethodPost, p.issuer+page.Path,
		url.Values{"id": {page.Query().Get("id")}, "username": {"alice"}, "password": {"alice-password"}}, nil)
	callback, err := url.Parse(header.Get("Location"))
	if err != nil || callback.Query().Get("state") != "s" {
		t.Fatalf("callback %q", header.Get("Location"))
	}
	status, _, body = p.call(http.MethodPost, endpoints["token_endpoint"].(string), url.Values{
		"grant_type": {"authorization_code"}, "client_id": {"web"}, "code": {callback.Query().Get("code")},
		"redirect_uri": {redirect}, "code_verifier": {verifier},
	}, nil)
	answer := members(t, body)
	if status != http.StatusOK || claims(t, answer["id_token"])["sub"] != "alice" {
		t.Fatalf("redeeming the code: %d %s", status, body)
	}
	token, _ := answer["access_token"].(string)
	return token
}

// askAs reloads the process with a site for every host and asks it by one name.
func (p *process) askAs(t *testing.T, host string) int {
	t.Helper()
	config := strings.Replace(p.caddyfile("127.0.0.1", processClients), p.issuer+" {", strings.Replace(p.issuer, "127.0.0.1", "", 1)+" {", 1)
	if status, body := p.load(t, config); status != http.StatusOK {
		t.Fatalf("reload: %d %s", status, body)
	}
	status, _, _ := p.call(http.MethodGet, p.issuer+"/jwks", nil, func(r *http.Request) { r.Host = host })
	return status
}

// load gives the running process another Caddyfile.
func (p *process) load(t *testing.T, config string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+p.admin+"/load", strings.NewReader(config))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "text/caddyfile")
	response, err := p.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, body.String()
}

// TestReload shows that keys, faults and counters outlive a good reload and a
// rejected one.
func TestReload(t *testing.T) {
	p := newProcess(t)
	p.run()
	state := func() (keys, stats string) {
		_, _, faults := p.call(http.MethodGet, p.issuer+"/dev/faults", nil, p.asTester)
		_, _, stats = p.call(http.MethodGet, p.issuer+"/dev/stats", nil, p.asTester)
		return faults, stats
	}
	p.call(http.MethodPost, p.issuer+"/dev/faults", url.Values{"keys": {"rotate"}}, p.asTester)
	p.call(http.MethodPost, p.issuer+"/dev/faults", url.Values{"endpoint": {"userinfo"}, "status": {"500"}}, p.asTester)
	p.call(http.MethodGet, p.issuer+"/jwks", nil, nil)
	keys, stats := state()
	if !strings.Contains(keys, `"userinfo"`) || !strings.Contains(stats, `"jwks":1`) {
		t.Fatalf("before: %s %s", keys, stats)
	}
	more := processClients + "\n\t\tclient late late-secret {\n\t\t\tgrants client_credentials\n\t\t}"
	for name, reload := range map[string]struct {
		config string
		status int
	}{
		"good":     {p.caddyfile("127.0.0.1", more), http.StatusOK},
		"rejected": {p.caddyfile("0.0.0.0", more), http.StatusBadRequest},
	} {
		if status, body := p.load(t, reload.config); status != reload.status {
			t.Fatalf("%s: %d %s", name, status, body)
		}
		if keysAfter, statsAfter := state(); keysAfter != keys || statsAfter != stats {
			t.Errorf("%s: %s became %s, %s became %s", name, keys, keysAfter, stats, statsAfter)
		}
	}
	late := func(r *http.Request) { r.SetBasicAuth("late", "late-secret") }
	if status, _, body := p.call(http.MethodPost, p.issuer+"/token", url.Values{"grant_type": {"client_credentials"}}, late); status != http.StatusOK {
		t.Errorf("the new client: %d %s", status, body)
	}
}

// TestCommandLine shows what an operator sees of the loopback rule, and that
// validating a configuration prints no token.
func TestCommandLine(t *testing.T) {
	p := newProcess(t)
	out, err := p.command(context.Background(), p.caddyfile("127.0.0.1", processClients), "validate").CombinedOutput()
	if err != nil || strings.Contains(string(out), "faults token") {
		t.Errorf("good: %v\n%s", err, out)
	}
	// If it did start it would run for ever, so that it is given a time to end.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err = p.command(ctx, p.caddyfile("0.0.0.0", processClients), "run").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "dev_idp runs on loopback only") || !strings.Contains(string(out), "default_bind 127.0.0.1") {
		t.Errorf("wildcard: %v\n%s", err, out)
	}
}
