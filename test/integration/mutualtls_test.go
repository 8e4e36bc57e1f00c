package integration_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// secureClient speaks TLS with a certificate, or with none.
func secureClient(http2 bool, certificates ...tls.Certificate) *http.Client {
	return &http.Client{Transport: &http.Transport{
		ForceAttemptHTTP2: http2, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: certificates},
	}}
}

func (b *bench) overTLS(t *testing.T, client *http.Client, request *http.Request) harness.Answer {
	t.Helper()
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if want := client.Transport.(*http.Transport).ForceAttemptHTTP2; (answer.ProtoMajor == 2) != want {
		t.Errorf("the answer came over %s", answer.Proto)
	}
	return harness.Answer{Status: answer.StatusCode, Header: answer.Header, Body: string(body)}
}

// A token that is bound to a certificate needs that very one in the handshake,
// on each version of HTTP.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mine, another := harness.NewCertificate(t), harness.NewCertificate(t)
	byCertificate := b.idp.Token(map[string]any{"cnf": mine.Binding()})
	both := map[string]any{}
	maps.Copy(both, mine.Binding())
	maps.Copy(both, b.holder.Binding())
	byBoth := b.idp.Token(map[string]any{"cnf": both})
	harness.Eventually(t, "the certificate is there", func() bool {
		answer, err := secureClient(false).Get(b.secure + "/")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	})
	for name, test := range map[string]struct {
		path         string
		certificates []tls.Certificate
		token        string
		proved       bool
		challenges   []string
	}{
		"right":                          {"/mtls/", []tls.Certificate{mine.Certificate}, byCertificate, false, nil},
		"right, anywhere":                {"/", []tls.Certificate{mine.Certificate}, byCertificate, false, nil},
		"right, by the rule":             {"/rule-mtls/", []tls.Certificate{mine.Certificate}, byCertificate, false, nil},
		"right, with a header":           {"/cert/", []tls.Certificate{mine.Certificate}, byCertificate, false, nil},
		"another":                        {"/", []tls.Certificate{another.Certificate}, byCertificate, false, []string{badBearer, offersDPoP}},
		"none":                           {"/mtls/", nil, byCertificate, false, []string{badBearer}},
		"a plain token":                  {"/mtls/", []tls.Certificate{mine.Certificate}, b.idp.Token(nil), false, []string{badBearer}},
		"where DPoP is wanted":           {"/dpop/", []tls.Certificate{mine.Certificate}, byCertificate, false, []string{badDPoP}},
		"both":                           {"/mtls/", []tls.Certificate{mine.Certificate}, byBoth, true, nil},
		"both, no proof":                 {"/mtls/", []tls.Certificate{mine.Certificate}, byBoth, false, []string{badBearer}},
		"both, no certificate":           {"/mtls/", nil, byBoth, true, []string{badDPoP}},
		"a key's alone, wanted by certs": {"/mtls/", []tls.Certificate{mine.Certificate}, b.bound(nil), true, []string{badDPoP}},
	} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/http2=%t", name, http2), func(t *testing.T) {
				url := b.secure + test.path
				request, err := http.NewRequest(http.MethodGet, url, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", "Bearer "+test.token)
				if test.proved {
					b.holder.Prove(request, url, test.token, "")
				}
				answer := b.overTLS(t, secureClient(http2, test.certificates...), request)
				if test.challenges == nil {
					answer.Expect(t, http.StatusOK)
					return
				}
				answer.Expect(t, http.StatusUnauthorized)
				expectHeader(t, answer, "WWW-Authenticate", test.challenges...)
			})
		}
	}
}

// A certificate in a header is a trusted proxy's word, and nobody else's.
func TestForwardedCertificate(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	mine, another := harness.NewCertificate(t), harness.NewCertificate(t)
	token := b.idp.Token(map[string]any{"cnf": mine.Binding()})
	field := func(c harness.Certificate) string { return ":" + base64.StdEncoding.EncodeToString(c.DER()) + ":" }
	for name, test := range map[string]struct {
		site, path string
		fields     []string
		status     int
		why        string // the end of the reason in the audit trail
	}{
		"trusted":                {b.proxied, "/cert/", []string{field(mine)}, http.StatusOK, ""},
		"trusted, another":       {b.proxied, "/cert/", []string{field(another)}, http.StatusUnauthorized, "another client certificate"},
		"trusted, none":          {b.proxied, "/cert/", nil, http.StatusUnauthorized, "none was presented"},
		"trusted, two":           {b.proxied, "/cert/", []string{field(mine), field(mine)}, http.StatusUnauthorized, "there is more than one"},
		"trusted, no bytes":      {b.proxied, "/cert/", []string{"::"}, http.StatusUnauthorized, "not one certificate in DER"},
		"trusted, not asked for": {b.proxied, "/", []string{field(mine)}, http.StatusUnauthorized, "none was presented"},
		"a stranger":             {b.URL, "/cert/", []string{field(mine)}, http.StatusUnauthorized, "came from none of trusted_proxies"},
	} {
		t.Run(name, func(t *testing.T) {
			said := len(b.Audit())
			request := at(t, b.Gateway, test.site, test.path, token)
			request.Header["Client-Cert"] = test.fields
			b.Do(request).Expect(t, test.status)
			harness.Eventually(t, "the audit trail says why: "+test.why, func() bool {
				lines := b.Audit()
				return test.why == "" || len(lines) > said && strings.HasSuffix(fmt.Sprint(lines[said]["reason"]), test.why)
			})
		})
	}
	// What a stranger has made up reaches no upstream, forwarded token or not.
	plain := b.idp.Token(nil)
	for _, path := range []string{"/cert/", "/forward/"} {
		request := b.Request(http.MethodGet, path, plain)
		for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "Dpop"} {
			request.Header[name] = []string{field(mine)}
		}
		b.Do(request).Expect(t, http.StatusOK)
		got := b.upstream.Last(t)
		for _, name := range []string{"Client-Cert", "Client-Cert-Chain", "Dpop"} {
			if got.Header.Get(name) != "" {
				t.Errorf("%s: the upstream got %s", path, name)
			}
		}
		if forwarded := got.Bearer() != ""; forwarded != (path == "/forward/") {
			t.Errorf("%s: the caller's token was forwarded: %t", path, forwarded)
		}
	}
	request := at(t, b.Gateway, b.proxied, "/cert/", token)
	request.Header["Client-Cert"] = []string{field(mine)}
	b.Do(request).Expect(t, http.StatusOK)
	if got := b.upstream.Last(t).Header["Client-Cert"]; !slices.Equal(got, []string{field(mine)}) {
		t.Errorf("the upstream got Client-Cert %q", got)
	}
}
