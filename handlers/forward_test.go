package handlers

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// A request that is sent once more writes no variable that whoever still works for the
// first sending reads: two goroutines at one map end the process.
func TestRepeatedRequestHasItsOwnVariables(t *testing.T) {
	who := new(caller)
	ctx := context.WithValue(t.Context(), caddyhttp.VarsCtxKey, map[string]any{callerVar: who, "first": true})
	first := httptest.NewRequestWithContext(ctx, http.MethodGet, "/orders", http.NoBody)
	var answer upstreamAnswer
	answer.begin(httptest.NewRecorder(), first)
	again := answer.request(first)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 1000 {
			caddyhttp.GetVar(first.Context(), "first")
		}
	}()
	caddyhttp.SetVar(again.Context(), "second", true)
	<-ended
	if caddyhttp.GetVar(first.Context(), "second") != nil {
		t.Error("the first sending sees what the second one sets")
	}
	if callerOf(again) != who || caddyhttp.GetVar(again.Context(), "first") != true {
		t.Error("the second sending does not know what the first one knew")
	}
}
