package test

import (
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

func actDPoP(t *testing.T, s *stage) {
	t.Helper()
	holder := harness.NewHolder(t)
	// As Keycloak binds, with a member beside jkt that says what it is for.
	binding := holder.Binding()
	binding["kc-jkt-type"] = "DPoP"
	token := s.idp.Token(map[string]any{"cnf": binding, "typ": "DPoP"})
	const url = "https://api.example.com/orders/1"
	ask := func() *http.Request {
		return holder.Prove(s.Request(http.MethodGet, "/orders/1", ""), url, token, "")
	}
	harness.Eventually(t, "a proved request goes through", func() bool { return s.Do(ask()).Status == http.StatusOK })
	if got := s.upstream.Last(t); got.Holds(token) || got.Header.Get("DPoP") != "" {
		t.Errorf("the upstream got %v", got.Header)
	}
	used := ask()
	s.Do(used).Expect(t, http.StatusOK)
	s.Do(used.Clone(t.Context())).Expect(t, http.StatusUnauthorized)
	s.Get("/orders/1", token).Expect(t, http.StatusUnauthorized)
	plain := s.Get("/orders/1", s.idp.Token(nil)).Expect(t, http.StatusUnauthorized)
	if got := plain.Header.Values("WWW-Authenticate"); len(got) != 1 || !strings.HasPrefix(got[0], "DPoP ") {
		t.Errorf("WWW-Authenticate = %q", got)
	}
}

func actMTLS(t *testing.T, s *stage) {
	t.Helper()
	mine, another := harness.NewCertificate(t), harness.NewCertificate(t)
	token := s.idp.Token(map[string]any{"cnf": mine.Binding()})
	ask := func(token string, certificates ...tls.Certificate) int {
		client := &http.Client{Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, Certificates: certificates},
		}}
		request, err := http.NewRequest(http.MethodGet, s.secure+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(request)
		if err != nil {
			return 0
		}
		_ = answer.Body.Close()
		return answer.StatusCode
	}
	harness.Eventually(t, "the right certificate goes through", func() bool {
		return ask(token, mine.Certificate) == http.StatusOK
	})
	for what, status := range map[string]int{
		"none": ask(token), "another": ask(token, another.Certificate), "plain": ask(s.idp.Token(nil), mine.Certificate),
	} {
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, status)
		}
	}
}
