package sts_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/sts"
)

// S1: POST only, the body only, each parameter once but audience and resource,
// empty ones absent, unknown ones ignored.
func TestS01OnlyTheBodyIsRead(t *testing.T) {
	r := newRig(t, nil)
	good := clientForm(nil).body()
	for name, tt := range map[string]struct {
		body string
		want sts.Outcome
	}{
		"as it should be":           {good, sts.OutcomeOK},
		"unknown parameter":         {good + "&subject=alice&subject=bob&username=x", sts.OutcomeOK},
		"empty parameter is absent": {good + "&scope=&requested_token_type=&authorization_details=", sts.OutcomeOK},
		"empty pair":                {good + "&&", sts.OutcomeOK},
		"audience may be repeated":  {good + "&audience=" + billing + "&audience=", sts.OutcomeOK},
		"grant_type twice":          {good + "&grant_type=client_credentials", sts.OutcomeRepeated},
		"client_id twice":           {good + "&client_id=orders", sts.OutcomeRepeated},
		"client_id empty and full":  {"client_id=&" + good, sts.OutcomeRepeated},
		"scope twice":               {good + "&scope=orders:read&scope=orders:write", sts.OutcomeRepeated},
		"spelt otherwise":           {good + "&cl%69ent_id=orders", sts.OutcomeRepeated},
		"no grant_type":             {clientForm(params{"grant_type": ""}).body(), sts.OutcomeMissing},
		"bad escape":                {good + "&scope=%zz", sts.OutcomeMalformed},
		"bad escape in a name":      {good + "&%zz=a", sts.OutcomeMalformed},
		"line break":                {good + "&scope=a%0Ab", sts.OutcomeMalformed},
		"NUL":                       {good + "&scope=a%00", sts.OutcomeMalformed},
		"not UTF-8":                 {good + "&scope=%ff", sts.OutcomeMalformed},
		"too many parameters":       {good + strings.Repeat("&a=b", 100), sts.OutcomeMalformed},
		"too long":                  {good + "&a=" + strings.Repeat("x", 64<<10), sts.OutcomeMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			inner.send(inner.request(tt.body), tt.want)
		})
	}
}

func TestS01OnlyAPostedForm(t *testing.T) {
	r := newRig(t, nil)
	good := clientForm(nil).body()
	for name, tt := range map[string]struct {
		change func(*http.Request)
		want   sts.Outcome
	}{
		"GET":              {func(r *http.Request) { r.Method = http.MethodGet }, sts.OutcomeMethod},
		"PUT":              {func(r *http.Request) { r.Method = http.MethodPut }, sts.OutcomeMethod},
		"query":            {func(r *http.Request) { r.URL.RawQuery = "scope=orders:read" }, sts.OutcomeInURL},
		"unknown in query": {func(r *http.Request) { r.URL.RawQuery = "a" }, sts.OutcomeInURL},
		"empty query":      {func(r *http.Request) { r.URL.ForceQuery = true }, sts.OutcomeInURL},
		"JSON":             {func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, sts.OutcomeMalformed},
		"no content type":  {func(r *http.Request) { r.Header.Del("Content-Type") }, sts.OutcomeMalformed},
		"multipart":        {func(r *http.Request) { r.Header.Set("Content-Type", "multipart/form-data; boundary=a") }, sts.OutcomeMalformed},
		"with a charset": {func(r *http.Request) {
			r.Header.Set("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8")
		}, sts.OutcomeOK},
		"compressed":        {func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, sts.OutcomeMalformed},
		"as it should be":   {func(*http.Request) {}, sts.OutcomeOK},
		"client in the URL": {func(r *http.Request) { r.URL.RawQuery = good }, sts.OutcomeInURL},
	} {
		t.Run(name, func(t *testing.T) {
			inner := *r
			inner.t = t
			request := inner.request(good)
			tt.change(request)
			inner.send(request, tt.want)
		})
	}
}

// FuzzTokenRequest sends any body with any headers: nothing may panic, and without
// the secret nothing may be granted.
func FuzzTokenRequest(f *testing.F) {
	for _, seed := range []string{
		clientForm(nil).body(), exchangeForm("a.b.c", nil).body(), "grant_type=&&=&%", "audience=a&audience=b&resource=urn:x",
		assertionForm("a.b.c", nil).body(), "client_id=orders&client_secret=ghr_", strings.Repeat("a=b&", 200),
	} {
		f.Add(seed, "Basic b3JkZXJzOng=", "proof")
	}
	f.Add(compressed(), "Bearer x", "")
	f.Fuzz(func(t *testing.T, body, authorization, dpop string) {
		r := newRig(t, func(r *rig) {
			for _, client := range r.settings.Clients {
				client.Auth.Secret = nil
				client.Auth = sts.Auth{Name: "nobody.example.com"}
			}
		})
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(body))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Authorization", authorization)
		request.Header.Set("DPoP", dpop)
		grant, _, refused := r.service.Token(request)
		if grant != nil || refused == nil || refused.Code() == "" || refused.Status() >= http.StatusInternalServerError {
			t.Errorf("%v, %v", grant, refused)
		}
	})
}

func compressed() string {
	var text bytes.Buffer
	writer := gzip.NewWriter(&text)
	_, _ = writer.Write(bytes.Repeat([]byte("a=b&"), 1<<16))
	_ = writer.Close()
	return text.String()
}
