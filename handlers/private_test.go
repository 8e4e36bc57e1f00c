package handlers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/policy"
)

func TestPrivateWriterMarksBeforeAnythingIsSent(t *testing.T) {
	tests := map[string]struct {
		do   func(w http.ResponseWriter) error
		sent bool
	}{
		"a status":        {func(w http.ResponseWriter) error { w.WriteHeader(http.StatusNotFound); return nil }, true},
		"an upgrade":      {func(w http.ResponseWriter) error { w.WriteHeader(http.StatusSwitchingProtocols); return nil }, true},
		"early hints":     {func(w http.ResponseWriter) error { w.WriteHeader(http.StatusEarlyHints); return nil }, false},
		"a body":          {func(w http.ResponseWriter) error { _, err := w.Write([]byte("a")); return err }, true},
		"a copied body":   {func(w http.ResponseWriter) error { _, err := io.Copy(w, strings.NewReader("a")); return err }, true},
		"a flush":         {func(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() }, true},
		"nothing so far":  {func(http.ResponseWriter) error { return nil }, false},
		"headers so far":  {func(w http.ResponseWriter) error { w.Header().Set("X", "y"); return nil }, false},
		"an empty string": {func(w http.ResponseWriter) error { _, err := io.WriteString(w, ""); return err }, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			if err := test.do(&privateWriter{
				ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: recorder}, who: &caller{auth: &TokenAuth{privacy: privacyOf(new(config.TokenAuth))}},
			}); err != nil {
				t.Fatal(err)
			}
			header := recorder.Header()
			if test.sent {
				header = recorder.Result().Header // as it was when it was sent
			}
			want := map[bool]string{true: "Authorization, private"}[test.sent]
			if got := strings.Trim(header.Get("Vary")+", "+header.Get("Cache-Control"), ", "); got != want {
				t.Errorf("the header says %q, want %q", got, want)
			}
		})
	}
}

func TestMarkPrivate(t *testing.T) {
	tests := map[string]struct{ header, want http.Header }{
		"nothing":         {http.Header{}, http.Header{"Vary": {"Authorization"}, "Cache-Control": {"private"}}},
		"own policy":      {http.Header{"Cache-Control": {"public"}}, http.Header{"Vary": {"Authorization"}, "Cache-Control": {"public"}}},
		"an empty policy": {http.Header{"Cache-Control": {""}}, http.Header{"Vary": {"Authorization"}, "Cache-Control": {""}}},
		"other fields":    {http.Header{"Vary": {"Accept"}}, http.Header{"Vary": {"Accept", "Authorization"}, "Cache-Control": {"private"}}},
		"there already":   {http.Header{"Vary": {"Accept", "Cookie ,AUTHORIZATION"}}, http.Header{"Vary": {"Accept", "Cookie ,AUTHORIZATION"}, "Cache-Control": {"private"}}},
		"everything":      {http.Header{"Vary": {"*"}}, http.Header{"Vary": {"*"}, "Cache-Control": {"private"}}},
		"a longer name":   {http.Header{"Vary": {"X-Authorization"}}, http.Header{"Vary": {"X-Authorization", "Authorization"}, "Cache-Control": {"private"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			privacyOf(new(config.TokenAuth)).mark(test.header, new([2]string))
			if diff := cmp.Diff(test.want, test.header); diff != "" {
				t.Errorf("the header (-want +got):\n%s", diff)
			}
		})
	}
}

// A route's challenge names every scope once, in the order of the route.
func TestNeeds(t *testing.T) {
	who := new(caller)
	own := make([]*policy.Policy, 1, 2) // as a directive's own, which is shared by all requests
	own[0] = mustPolicy(t, scopeRule("a", "b"))
	who.ask(own)
	who.ask([]*policy.Policy{mustPolicy(t, scopeRule("b", "c"))})
	who.ask([]*policy.Policy{mustPolicy(t, policy.Rule{Kind: policy.ACR, Values: []string{"gold", "silver"}})})
	who.ask([]*policy.Policy{mustPolicy(t, scopeRule("d", "a"), policy.Rule{Kind: policy.ACR, Values: []string{"silver"}})})
	scopes, login := who.needed()
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, scopes); diff != "" {
		t.Errorf("scopes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(policy.StepUp{ACR: []string{"silver"}}, login); diff != "" {
		t.Errorf("the login (-want +got):\n%s", diff)
	}
	if own[:2][1] != nil || !slices.Equal(own[0].Scopes(), []string{"a", "b"}) {
		t.Error("the directive's own list changed")
	}
}

func scopeRule(scopes ...string) policy.Rule {
	return policy.Rule{Kind: policy.Scope, Values: scopes}
}

// An upstream's nonce is not the caller's: the gateway's own stands alone.
func TestOwnNonceAlone(t *testing.T) {
	for name, own := range map[string][]string{"none of its own": nil, "one of its own": {"own"}} {
		t.Run(name, func(t *testing.T) {
			recorder := httptest.NewRecorder()
			w := &privateWriter{
				ResponseWriterWrapper: caddyhttp.ResponseWriterWrapper{ResponseWriter: recorder}, who: &caller{auth: &TokenAuth{privacy: new(privacy)}}, nonce: own != nil,
			}
			for _, nonce := range own {
				w.Header().Add("DPoP-Nonce", nonce)
			}
			w.Header().Add("DPoP-Nonce", "upstream")
			w.WriteHeader(http.StatusOK)
			if got := recorder.Result().Header.Values("DPoP-Nonce"); !cmp.Equal(got, own) {
				t.Errorf("the answer offers %q, want %q", got, own)
			}
		})
	}
}
