package test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// published verifies a token as any service would: with the key set at the address
// that the example names.
func (s *stage) published(t *testing.T, token string) map[string]any {
	t.Helper()
	set, err := jose.ParseKeySet([]byte(s.Get("/oauth2/jwks", "").Expect(t, http.StatusOK).Body))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := jose.ParseJWS(token)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if key.ID() == jws.Header.KeyID && jws.VerifyWith(key, jose.Algorithm(jws.Header.Algorithm)) == nil {
			return harness.Claims(t, token)
		}
	}
	t.Fatalf("the key set has no key %s", jws.Header.KeyID)
	return nil
}

// actMicroservices plays the three services: each calls the next one with what it was
// called with.
func actMicroservices(t *testing.T, s *stage) {
	t.Helper()
	user := s.idp.Token(map[string]any{"scope": "orders:read stock:read parts:read admin"})
	hop := func(path, token string) (string, map[string]any) {
		t.Helper()
		s.Await(path, token, http.StatusOK)
		got := s.upstream.Last(t)
		if got.Holds(token) {
			t.Errorf("%s: the caller's token went along", path)
		}
		return got.Bearer(), s.published(t, got.Bearer())
	}
	orders, first := hop("/orders/1", user)
	stock, second := hop("/stock/1", orders)
	parts, third := hop("/parts/1", stock)
	gateway := func(before any) any {
		act := map[string]any{"iss": s.URL, "sub": s.URL}
		if before != nil {
			act["act"] = before
		}
		return act
	}
	var acts any
	for name, claims := range map[string]map[string]any{"orders": first, "stock": second, "parts": third} {
		if claims["aud"] != name || claims["sub"] != "alice" || claims["txn"] != first["txn"] || claims["exp"].(float64) > first["exp"].(float64) {
			t.Errorf("%s: %v", name, claims)
		}
	}
	for n, claims := range []map[string]any{first, second, third} {
		if acts = gateway(acts); !cmp.Equal(claims["act"], acts) {
			t.Errorf("hop %d: act %v", n+1, claims["act"])
		}
	}
	if third["scope"] != "parts:read" || first["scope"] != "orders:read parts:read stock:read" {
		t.Errorf("scope %v, and at the end %v", first["scope"], third["scope"])
	}
	for token, paths := range map[string][]string{
		user: {"/stock/", "/parts/"}, orders: {"/orders/", "/parts/"}, stock: {"/orders/", "/stock/"}, parts: {"/orders/", "/stock/", "/parts/"},
	} {
		for _, path := range paths {
			s.Get(path, token).Expect(t, http.StatusUnauthorized)
		}
	}
	s.auditedChain(t, harness.Claims(t, user)["jti"], first["jti"], second["jti"], third["jti"])
}

// auditedChain follows a call from line to line of the trail.
func (s *stage) auditedChain(t *testing.T, ids ...any) {
	t.Helper()
	for n := range ids[1:] {
		from, to := ids[n], ids[n+1]
		harness.Eventually(t, "each hop has its line", func() bool {
			return slices.ContainsFunc(s.auditFile(t), func(line map[string]any) bool {
				return line["msg"] == "granted" && line["jti"] == from && line["issued_jti"] == to && line["subject"] == "alice"
			})
		})
	}
	if lines := s.auditFile(t); !slices.ContainsFunc(lines, func(line map[string]any) bool {
		return line["exchange"] == "parts" && line["actor"] == s.URL && line["earlier_actors"] == s.URL && line["txn"] != nil
	}) {
		t.Error("no line shows who acted before")
	}
}

func (s *stage) auditFile(t *testing.T) []map[string]any {
	t.Helper()
	file, err := os.Open(filepath.Join(s.folder, "audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var lines []map[string]any
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// spiffeID is the one that the README registers at the server.
const spiffeID = "spiffe://example.org/ns/edge/sa/gateway"

// fitMesh writes the SVID, and has the server ask for it.
func (s *stage) fitMesh(t *testing.T, caddyfile string) string {
	t.Helper()
	s.mesh = newMesh(t, s)
	id, err := url.Parse(spiffeID)
	if err != nil {
		t.Fatal(err)
	}
	svid := s.mesh.certificate(t, &x509.Certificate{URIs: []*url.URL{id}}, s.mesh.root)
	harness.Certificate{Certificate: tls.Certificate{Certificate: [][]byte{svid.Raw}, PrivateKey: s.mesh.key}}.Write(t,
		filepath.Join(s.folder, "svid.pem"), filepath.Join(s.folder, "svid.key"))
	alias := s.idp.MutualTLS(t)
	ca := filepath.Join(s.folder, "alias-ca.crt")
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: alias.Certificate().Raw})
	if err := os.WriteFile(ca, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return strings.Replace(caddyfile, "\t\t\tclient_id gateway\n", "\t\t\tclient_id gateway\n\t\t\ttrust_ca "+ca+"\n", 1)
}

func actMesh(t *testing.T, s *stage) {
	t.Helper()
	var shown atomic.Value
	s.idp.Authenticate(func(r *http.Request) bool {
		if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || len(r.TLS.PeerCertificates[0].URIs) != 1 {
			return false
		}
		shown.Store(r.TLS.PeerCertificates[0].URIs[0].String())
		return r.PostForm.Get("client_id") == harness.ClientID
	})
	token := s.idp.Token(map[string]any{"scope": "orders:read reports:read", "groups": []any{"staff"}})
	s.Await("/orders/1", token, http.StatusOK)
	claims := s.published(t, s.upstream.Last(t).Bearer())
	policy := readPolicy(t)
	if want := []string{"https://gateway.example.com"}; !slices.Equal(policy["issuer"], want) || claims["iss"] != s.URL {
		t.Errorf("Istio trusts %v, iss %v", policy["issuer"], claims["iss"])
	}
	if !slices.Contains(policy["audiences"], claims["aud"].(string)) || !slices.Equal(policy["jwksUri"], []string{"https://gateway.example.com/oauth2/jwks"}) {
		t.Errorf("Istio wants %v from %v, aud %v", policy["audiences"], policy["jwksUri"], claims["aud"])
	}
	for scope := range strings.FieldsSeq(claims["scope"].(string)) {
		if !slices.Contains(policy["values"], scope) {
			t.Errorf("no rule of Istio's is about %s", scope)
		}
	}
	if !cmp.Equal(claims["groups"], []any{"staff"}) || !slices.Contains(policy["values"], "staff") {
		t.Errorf("groups %v", claims["groups"])
	}
	s.Get("/reports/1", token).Expect(t, http.StatusOK)
	if shown.Load() != spiffeID {
		t.Errorf("the server was shown %v", shown.Load())
	}
}

// readPolicy reads the keys of istio.yaml with their values, as far as this file is
// YAML: scalars, and lists of them.
func readPolicy(t *testing.T) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(harness.Root(), "examples", "mesh", "istio.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	last := ""
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		item, isItem := strings.CutPrefix(line, "- ")
		name, value, isPair := strings.Cut(item, ":")
		switch {
		case isPair && (value == "" || strings.HasPrefix(value, " ")):
			if last = name; value != "" {
				found[name] = append(found[name], strings.TrimSpace(value))
			}
		case isItem:
			found[last] = append(found[last], item)
		}
	}
	return found
}
