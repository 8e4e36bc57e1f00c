package token_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/token"
)

var (
	fromBearer = token.Source{Kind: token.FromHeader, Name: "Authorization", Scheme: "Bearer"}
	fromHeader = token.Source{Kind: token.FromHeader, Name: "X-Access-Token"}
	fromScheme = token.Source{Kind: token.FromHeader, Name: "X-Auth", Scheme: "Token"}
	fromCookie = token.Source{Kind: token.FromCookie, Name: "session"}
	fromQuery  = token.Source{Kind: token.FromQuery, Name: "access_token"}
)

func taken(from token.Sources, r *http.Request) (found token.Credential, err error) {
	err = from.Take(r, &found)
	return found, err
}

func TestSourcesTake(t *testing.T) {
	tests := map[string]struct {
		sources token.Sources
		header  http.Header
		query   string
		text    string
		want    error
		rest    http.Header
		left    string
	}{
		"header":             {token.Sources{fromHeader}, http.Header{"X-Access-Token": {" abc "}, "A": {"b"}}, "", "abc", nil, http.Header{"A": {"b"}}, ""},
		"header twice":       {token.Sources{fromHeader}, http.Header{"X-Access-Token": {"abc", "abc"}}, "", "", token.Malformed, nil, ""},
		"two spellings":      {token.Sources{fromHeader}, http.Header{"X-Access-Token": {"abc"}, "X_access.token": {"def"}}, "", "", token.Malformed, nil, ""},
		"header of two":      {token.Sources{fromHeader}, http.Header{"X-Access-Token": {"abc, def"}}, "", "", token.Malformed, nil, ""},
		"header empty":       {token.Sources{fromHeader}, http.Header{"X-Access-Token": {""}}, "", "", token.Missing, nil, ""},
		"header too long":    {token.Sources{fromHeader}, http.Header{"X-Access-Token": {strings.Repeat("a", 16<<10+1)}}, "", "", token.Malformed, nil, ""},
		"a scheme":           {token.Sources{fromScheme}, http.Header{"X-Auth": {"token abc"}}, "", "abc", nil, nil, ""},
		"another scheme":     {token.Sources{fromScheme}, http.Header{"X-Auth": {"Bearer abc"}}, "", "", token.Missing, nil, ""},
		"cookie":             {token.Sources{fromCookie}, http.Header{"Cookie": {"a=1; session=abc; b=2"}}, "", "abc", nil, http.Header{"Cookie": {"a=1; b=2"}}, ""},
		"cookie first":       {token.Sources{fromCookie}, http.Header{"Cookie": {"session=abc;  b = 2;c"}}, "", "abc", nil, http.Header{"Cookie": {"b = 2;c"}}, ""},
		"cookie last":        {token.Sources{fromCookie}, http.Header{"Cookie": {"a=1 ; session=abc"}}, "", "abc", nil, http.Header{"Cookie": {"a=1 "}}, ""},
		"cookie alone":       {token.Sources{fromCookie}, http.Header{"Cookie": {"session=abc"}}, "", "abc", nil, nil, ""},
		"cookie of another":  {token.Sources{fromCookie}, http.Header{"Cookie": {"Session=abc; xsession=d"}}, "", "", token.Missing, http.Header{"Cookie": {"Session=abc; xsession=d"}}, ""},
		"cookie twice":       {token.Sources{fromCookie}, http.Header{"Cookie": {"session=abc; x=y; session=abc"}}, "", "", token.Malformed, http.Header{"Cookie": {"x=y"}}, ""},
		"cookie in lines":    {token.Sources{fromCookie}, http.Header{"Cookie": {"x=y", "session=abc", "z=1; session=d"}}, "", "", token.Malformed, http.Header{"Cookie": {"x=y", "z=1"}}, ""},
		"cookie in one line": {token.Sources{fromCookie}, http.Header{"Cookie": {"x=y", "session=abc"}}, "", "abc", nil, http.Header{"Cookie": {"x=y"}}, ""},
		"cookie empty":       {token.Sources{fromCookie}, http.Header{"Cookie": {"session="}}, "", "", token.Missing, nil, ""},
		"query":              {token.Sources{fromQuery}, nil, "b=2&access_token=a.b-c&a=1&a=%zz&&c", "a.b-c", nil, nil, "b=2&a=1&a=%zz&&c"},
		"query alone":        {token.Sources{fromQuery}, nil, "access_token=abc", "abc", nil, nil, ""},
		"query encoded":      {token.Sources{fromQuery}, nil, "%61ccess%5Ftoken=a%62c&x=%20", "abc", nil, nil, "x=%20"},
		"query twice":        {token.Sources{fromQuery}, nil, "access_token=abc&x&acces%73_token=def", "", token.Malformed, nil, "x"},
		"query badly":        {token.Sources{fromQuery}, nil, "access_token=%zz&x", "", token.Malformed, nil, "x"},
		"query empty":        {token.Sources{fromQuery}, nil, "access_token&x", "", token.Missing, nil, "x"},
		"query of another":   {token.Sources{fromQuery}, nil, "Access_token=a&access_token2=b", "", token.Missing, nil, "Access_token=a&access_token2=b"},
		"none of them":       {token.Sources{fromQuery, fromCookie, fromHeader}, http.Header{"A": {"b"}}, "x", "", token.Missing, http.Header{"A": {"b"}}, "x"},
		"two places":         {token.Sources{fromQuery, fromCookie}, http.Header{"Cookie": {"session=abc"}}, "access_token=abc", "", token.Malformed, nil, ""},
		"good and empty":     {token.Sources{fromQuery, fromCookie}, http.Header{"Cookie": {"session="}}, "access_token=abc", "", token.Malformed, nil, ""},
		"both named":         {token.Sources{fromCookie, fromBearer}, http.Header{"Cookie": {"session=abc"}, "Authorization": {"Basic abc"}}, "", "", token.Malformed, nil, ""},
		"the other named":    {token.Sources{fromCookie, fromBearer}, http.Header{"Authorization": {"Bearer abc"}}, "", "abc", nil, nil, ""},
		"Authorization too":  {token.Sources{fromCookie}, http.Header{"Cookie": {"session=abc"}, "Authorization": {"Basic abc"}}, "", "", token.Malformed, nil, ""},
		"Authorization only": {token.Sources{fromCookie}, http.Header{"Authorization": {"Bearer abc"}}, "", "", token.Malformed, nil, ""},
		"default elsewhere":  {nil, http.Header{"Cookie": {"session=abc"}}, "access_token=abc", "", token.Missing, http.Header{"Cookie": {"session=abc"}}, "access_token=abc"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			request := &http.Request{Header: test.header, URL: &url.URL{Path: "/p", RawQuery: test.query}, RequestURI: target(test.query)}
			if test.header == nil {
				request.Header = http.Header{}
			}
			found, err := taken(test.sources, request)
			if !errors.Is(err, test.want) || found.Raw.Reveal() != test.text {
				t.Errorf("got %v, %v", found, err)
			}
			if test.rest == nil {
				test.rest = http.Header{}
			}
			if diff := cmp.Diff(test.rest, request.Header); diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
			if request.URL.RawQuery != test.left || request.RequestURI != target(test.left) {
				t.Errorf("left are %q and %q, want %q", request.URL.RawQuery, request.RequestURI, test.left)
			}
		})
	}
}

func target(query string) string {
	if query == "" {
		return "/p"
	}
	return "/p?" + query
}

// A caller who presents something that is no credential did not come as nobody.
func TestPresented(t *testing.T) {
	tests := map[string]struct {
		header http.Header
		want   bool
	}{
		"nothing":        {http.Header{"X": {"y"}}, false},
		"empty":          {http.Header{"Authorization": {""}}, true},
		"scheme alone":   {http.Header{"Authorization": {"Bearer"}}, true},
		"another scheme": {http.Header{"Authorization": {"Basic YTpi"}}, true},
		"two":            {http.Header{"Authorization": {"Bearer a", "Bearer a"}}, true},
		"good":           {http.Header{"Authorization": {"Bearer a"}}, true},
	}
	for name, test := range tests {
		found, _ := taken(nil, &http.Request{Header: test.header})
		if found.Presented != test.want {
			t.Errorf("%s: presented is %t", name, found.Presented)
		}
	}
}

// FuzzTakeCookie holds that the named cookie is gone, whatever stood around it,
// and that the others are those that were there.
func FuzzTakeCookie(f *testing.F) {
	f.Add("a=1; session=abc; b=2", "session")
	f.Add(" session = x;session;; =;\tsession\t=y", "session=")
	f.Add(`a="x; session=y"; b`, "")
	f.Fuzz(func(t *testing.T, first, second string) {
		lines := []string{first, second}
		before := cookiesBut(lines)
		header := http.Header{"Cookie": slices.Clone(lines)}
		_, err := taken(token.Sources{fromCookie}, &http.Request{Header: header})
		if diff := cmp.Diff(before, cookiesBut(header["Cookie"])); diff != "" {
			t.Errorf("the other cookies (-before +after):\n%s", diff)
		}
		held := false
		for _, line := range header["Cookie"] {
			for part := range strings.SplitSeq(line, ";") {
				held = held || isCookie(part)
			}
		}
		if held {
			t.Errorf("the cookie is still there: %q", header["Cookie"])
		}
		if unchanged := cmp.Equal(lines, header["Cookie"]); unchanged && !errors.Is(err, token.Missing) {
			t.Errorf("nothing was taken, and yet: %v", err)
		}
	})
}

func isCookie(part string) bool {
	name, _, _ := strings.Cut(part, "=")
	return strings.Trim(name, " \t") == "session"
}

// cookiesBut are the other cookies, blanks around them aside.
func cookiesBut(lines []string) []string {
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			if part = strings.TrimLeft(part, " \t"); part != "" && !isCookie(part) {
				kept = append(kept, part)
			}
		}
	}
	return kept
}

// FuzzTakeQuery holds that no parser finds the parameter any more, and that the
// others are those that were there, byte for byte.
func FuzzTakeQuery(f *testing.F) {
	f.Add("a=1&access_token=abc&b=2")
	f.Add("%61ccess_token=abc&&access_token&access+token=&a=%zz&=&access_token;x=1")
	f.Add("a?access_token=b&?&access_token=c")
	f.Fuzz(func(t *testing.T, query string) {
		request := &http.Request{Header: http.Header{}, URL: &url.URL{RawQuery: query}, RequestURI: "/p?" + query}
		found, err := taken(token.Sources{fromQuery}, request)
		var kept []string
		taken := 0
		for pair := range strings.SplitSeq(query, "&") {
			name, _, _ := strings.Cut(pair, "=")
			if plain, bad := url.QueryUnescape(name); bad == nil && plain == "access_token" {
				taken++
				continue
			}
			kept = append(kept, pair)
		}
		left := request.URL.RawQuery
		if want := strings.Join(kept, "&"); left != want {
			t.Errorf("left is %q, want %q", left, want)
		}
		if values, _ := url.ParseQuery(left); values.Has("access_token") {
			t.Errorf("the parameter is still there: %q", left)
		}
		if _, line, _ := strings.Cut(request.RequestURI, "?"); line != left {
			t.Errorf("the request line says %q, the URL %q", line, left)
		}
		if (taken > 0) != found.Presented || taken > 1 && !errors.Is(err, token.Malformed) || taken == 0 && !errors.Is(err, token.Missing) {
			t.Errorf("%d taken, and yet %v, %v", taken, found, err)
		}
	})
}
