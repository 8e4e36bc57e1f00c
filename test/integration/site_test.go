package integration_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// at is the gateway's site on another address than $SITE.
func at(tb testing.TB, gateway *harness.Gateway, site, path, token string) *http.Request {
	tb.Helper()
	request := gateway.Request(http.MethodGet, path, token)
	request.URL.Host = strings.TrimPrefix(site, "http://")
	return request
}

// problemOf reads the body of a refusal.
func problemOf(tb testing.TB, answer harness.Answer) map[string]any {
	tb.Helper()
	if kind := answer.Header.Get("Content-Type"); kind != "application/problem+json" {
		tb.Errorf("Content-Type %q, want application/problem+json", kind)
	}
	var problem map[string]any
	if err := json.Unmarshal([]byte(answer.Body), &problem); err != nil {
		tb.Fatalf("the body %q is no JSON: %v", answer.Body, err)
	}
	return problem
}

// expectNowhere fails the test if a text got out of the gateway: to the upstream,
// the caller, the log or the metrics.
func expectNowhere(tb testing.TB, gateway *harness.Gateway, upstream *harness.Upstream, answer harness.Answer, texts ...string) {
	tb.Helper()
	log, metrics := gateway.Log(), gateway.Metrics()
	for _, text := range texts {
		for i, got := range upstream.Received() {
			if got.Holds(text) {
				tb.Errorf("request %d to the upstream holds %.40q", i, text)
			}
		}
		header := strings.Builder{}
		_ = answer.Header.Write(&header)
		for where, content := range map[string]string{
			"log": log, "metrics": metrics, "answer's body": answer.Body, "answer's header": header.String(),
		} {
			if strings.Contains(content, text) {
				tb.Errorf("the %s holds %.40q", where, text)
			}
		}
	}
}

// expectHeader fails the test unless a header of the answer has exactly these
// values.
func expectHeader(tb testing.TB, answer harness.Answer, name string, values ...string) {
	tb.Helper()
	if got := answer.Header.Values(name); strings.Join(got, "\n") != strings.Join(values, "\n") {
		tb.Errorf("%s: %q, want %q", name, got, values)
	}
}
