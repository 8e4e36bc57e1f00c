package handlers

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

func TestDropAliases(t *testing.T) {
	got := http.Header{
		"X-Token": {"1"}, "X_Token": {"2"}, "x-token": {"3"}, "X.Token": {"4"}, "x_TOKEN": {"5"},
		"X-Token-2": {"kept"}, "Xtoken": {"kept"}, "X-Toke": {"kept"}, "X-Tokén": {"kept"}, "Y-Token": {"kept"},
	}
	dropAliases(got, "X-Token")
	want := http.Header{"X-Token-2": {"kept"}, "Xtoken": {"kept"}, "X-Toke": {"kept"}, "X-Tokén": {"kept"}, "Y-Token": {"kept"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what is left (-want +got):\n%s", diff)
	}
}

func TestKeepHop(t *testing.T) {
	tests := map[string]struct{ connection, want []string }{
		"absent":               {nil, nil},
		"about something else": {[]string{"keep-alive, Upgrade"}, []string{"keep-alive, Upgrade"}},
		"the header alone":     {[]string{"X-Token"}, nil},
		"another spelling":     {[]string{"close, x_tOKEN"}, []string{"close"}},
		"several lines":        {[]string{"X-Token", "Upgrade,, X.Token ,close"}, []string{"Upgrade, close"}},
		"a longer name":        {[]string{"X-Token-2"}, []string{"X-Token-2"}},
		"nothing":              {[]string{""}, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			if test.connection != nil {
				header["Connection"] = test.connection
			}
			keepHop(header, "X-Token")
			if diff := cmp.Diff(test.want, header["Connection"]); diff != "" {
				t.Errorf("Connection (-want +got):\n%s", diff)
			}
		})
	}
}

// The request that error routes and placeholders see never carries the upstream's
// token.
func TestWithTokenLeavesTheRequestAlone(t *testing.T) {
	request := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	request.Header = http.Header{"X-Token": {"forged", "forged"}, "X_token": {"forged"}, "Connection": {"X-Token"}, "Accept": {"a"}}
	before := request.Header.Clone()
	exchange, who := new(TokenExchange), new(caller)
	exchange.aim("X-Token")
	for _, want := range []string{"issued", "Bearer issued"} {
		clone := exchange.withToken(request, who, token.NewRaw(want))
		if diff := cmp.Diff(http.Header{"X-Token": {want}, "Accept": {"a"}}, clone.Header); diff != "" {
			t.Errorf("the upstream's request (-want +got):\n%s", diff)
		}
		clone.Header.Set("Accept", "changed")
		if diff := cmp.Diff(before, request.Header); diff != "" {
			t.Errorf("the request itself changed (-want +got):\n%s", diff)
		}
	}
}
