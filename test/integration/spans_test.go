package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

// A consoleSpan is a span as OpenTelemetry's console exporter writes it.
type consoleSpan struct {
	Name        string
	SpanContext struct{ TraceID, SpanID string }
	Parent      struct{ SpanID string }
	Attributes  []struct {
		Key   string
		Value struct{ Value any }
	}
	Status struct{ Code, Description string }
}

func (s consoleSpan) String() string {
	text := s.Name
	for _, attribute := range s.Attributes {
		text += fmt.Sprintf(" %s=%v", attribute.Key, attribute.Value.Value)
	}
	if s.Status.Code == "Error" {
		text += " error" + s.Status.Description
	}
	return text
}

func TestSpansAreChildrenOfCaddys(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "console")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	site := startTelemetry(t, "")
	token := site.idp.Token(nil)
	tests := map[string]struct {
		path, token string
		status      int
		want        []string
	}{
		"granted": {"/orders/1", token, 200, []string{
			"token_auth gatehouse.outcome=ok", "token_require gatehouse.allowed=true",
			"token_exchange gatehouse.exchange=orders gatehouse.outcome=ok",
		}},
		"refused": {"/", "canary-no-jwt", 401, []string{"token_auth gatehouse.outcome=not_a_jwt error"}},
		"denied":  {"/admin/1", token, 403, []string{"token_auth gatehouse.outcome=ok", "token_require gatehouse.allowed=false"}},
	}
	traceID := 0
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			traceID++
			trace := fmt.Sprintf("%032x", traceID)
			request := site.Request(http.MethodGet, test.path, test.token)
			request.Header.Set("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
			site.Do(request).Expect(t, test.status)
			var got []string
			harness.Eventually(t, "the spans are exported", func() bool {
				got = children(site.Log(), trace)
				return len(got) > 0
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the children of Caddy's span (-want +got):\n%s", diff)
			}
		})
	}
	if strings.Contains(site.Log(), "canary") {
		t.Error("a span holds a token or a secret")
	}
}

// children are the spans of a trace whose parent is Caddy's own span, which ends
// last, in the order in which they ended.
func children(log, trace string) []string {
	var spans []consoleSpan
	parent := ""
	for text := range strings.Lines(log) {
		var span consoleSpan
		if json.Unmarshal([]byte(text), &span) != nil || span.SpanContext.TraceID != trace {
			continue
		}
		spans = append(spans, span)
		if span.Parent.SpanID == "00f067aa0ba902b7" {
			parent = span.SpanContext.SpanID
		}
	}
	var names []string
	for _, span := range spans {
		if parent != "" && span.Parent.SpanID == parent && strings.HasPrefix(span.Name, "token_") {
			names = append(names, span.String())
		}
	}
	return names
}
