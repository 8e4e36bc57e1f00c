package integration_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/caddy-gatehouse/gatehouse/test/harness"
)

const answerRoutes = "$SITE {" + ready + `
	handle /encoded {
		encode gzip
		token_auth
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle_path /stripped/* {
		@admin path /admin/*
		token_auth
		token_require @admin scope admin
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /uri/* {
		@admin path /admin/*
		uri strip_prefix /uri
		token_auth
		token_require @admin scope admin
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /intercepted {
		intercept {
			@bad status 4xx 502
			handle_response @bad {
				header -Content-Length
				respond "intercepted {http.intercept.status_code} {http.request.header.Authorization}"
			}
		}
		token_auth
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /replaced {
		intercept {
			@bad status 401
			replace_status @bad 403
		}
		token_auth
		token_exchange orders
		reverse_proxy $UPSTREAM
	}
	handle /intercepted-in-front {
		route {
			intercept {
				@bad status 401
				handle_response @bad {
					respond "intercepted" 403
				}
			}
			token_auth
			token_exchange orders
			reverse_proxy $UPSTREAM
		}
	}
	handle /copied {
		token_auth
		token_exchange orders
		reverse_proxy $UPSTREAM {
			@refused status 401
			handle_response @refused {
				copy_response
			}
			@missing status 404
			handle_response @missing {
				copy_response_headers {
					include X-Kept
				}
				respond "seen {http.request.header.Authorization}" 410
			}
			@teapot status 418
			handle_response @teapot {
				copy_response 401
			}
			@elsewhere header X-Accel-Redirect *
			handle_response @elsewhere {
				reverse_proxy $SIDE
			}
		}
	}
}
`

func startAnswers(t *testing.T) company {
	t.Helper()
	return startCompany(t, "", answerRoutes)
}

// respondOnce makes the upstream answer its next request so, and later ones well.
func (c company) respondOnce(answer http.HandlerFunc) {
	before := len(c.upstream.Received())
	c.upstream.Respond(func(w http.ResponseWriter, r *http.Request) {
		if len(c.upstream.Received()) == before+1 {
			answer(w, r)
			return
		}
		_, _ = io.WriteString(w, strings.Repeat("good ", 1000))
	})
}

func refuseToken(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("WWW-Authenticate", "Bearer canary")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, strings.Repeat("canary ", 1000))
}

// What encode compresses is one caller's answer still, and an answer that is held
// back leaves nothing of itself in the one that follows.
func TestEncode(t *testing.T) {
	t.Parallel()
	c := startAnswers(t)
	c.respondOnce(refuseToken)
	request := c.Request(http.MethodGet, "/encoded", c.token(nil))
	request.Header.Set("Accept-Encoding", "gzip")
	got := c.Do(request).Expect(t, http.StatusOK)
	expectHeader(t, got, "Content-Encoding", "gzip")
	expectHeader(t, got, "Cache-Control", "private")
	expectHeader(t, got, "WWW-Authenticate")
	if vary := strings.Join(got.Header.Values("Vary"), ", "); !strings.Contains(vary, "Accept-Encoding") || !strings.Contains(vary, "Authorization") {
		t.Errorf("Vary %q", vary)
	}
	unpacked, err := gzip.NewReader(strings.NewReader(got.Body))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(unpacked)
	if err != nil || string(body) != strings.Repeat("good ", 1000) {
		t.Errorf("body %.40q: %v", body, err)
	}
	problemOf(t, c.Get("/encoded", "bad").Expect(t, http.StatusUnauthorized))
}

// Rules and upstreams see the path without its prefix, and a request that is sent
// once more loses it once.
func TestStrippedPrefix(t *testing.T) {
	t.Parallel()
	c := startAnswers(t)
	for _, prefix := range []string{"/stripped", "/uri"} {
		c.respondOnce(refuseToken)
		before := len(c.upstream.Received())
		token := c.token(map[string]any{"jti": prefix})
		c.Get(prefix+prefix+"/1?a=1", token).Expect(t, http.StatusOK)
		var paths []string
		for _, got := range c.upstream.Received()[before:] {
			paths = append(paths, got.Path+"?"+got.Query)
		}
		if diff := cmp.Diff([]string{prefix + "/1?a=1", prefix + "/1?a=1"}, paths); diff != "" {
			t.Errorf("%s: paths (-want +got):\n%s", prefix, diff)
		}
		c.Get(prefix+"/admin/1", token).Expect(t, http.StatusForbidden)
		c.Get(prefix+"/admin/1", c.token(map[string]any{"scope": "a admin"})).Expect(t, http.StatusOK)
		c.expectExchanged(t, token)
	}
}

// intercept stands behind token_auth and around token_exchange: it gets what the
// caller would, never the upstream's own refusal, and no refusal of token_auth.
func TestIntercept(t *testing.T) {
	t.Parallel()
	c := startAnswers(t)
	token := c.token(nil)
	c.respondOnce(refuseToken)
	if got := c.Get("/intercepted", token).Expect(t, http.StatusOK); !strings.HasPrefix(got.Body, "good") {
		t.Errorf("after another exchange the body is %.40q", got.Body)
	}
	c.upstream.Respond(refuseToken)
	got := c.Get("/intercepted", token)
	if got.Body != "intercepted 502 " || strings.Contains(got.Body, token) {
		t.Errorf("body %.80q", got.Body)
	}
	expectHeader(t, got, "WWW-Authenticate")
	c.Get("/replaced", token).Expect(t, http.StatusBadGateway)

	c.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "missing")
	})
	if got := c.Get("/intercepted", token); got.Body != "intercepted 404 " {
		t.Errorf("body %.80q", got.Body)
	}
	problemOf(t, c.Get("/intercepted", "bad").Expect(t, http.StatusUnauthorized))
	problemOf(t, c.Get("/replaced", "bad").Expect(t, http.StatusUnauthorized))

	// In front of token_auth it may replace the gateway's refusals: the challenge
	// stays, and the request still goes no further.
	reached := len(c.upstream.Received())
	got = c.Get("/intercepted-in-front", "bad").Expect(t, http.StatusForbidden)
	if !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") || got.Body != "intercepted" {
		t.Errorf("body %q, challenge %q", got.Body, got.Header.Get("WWW-Authenticate"))
	}
	if len(c.upstream.Received()) != reached {
		t.Error("a bad token reached the upstream")
	}
}

// Answers that reverse_proxy hands to routes of its own are the upstream's still:
// a 401 that they copy is about the exchanged token.
func TestHandleResponse(t *testing.T) {
	t.Parallel()
	c := startAnswers(t)
	token := c.token(nil)
	c.respondOnce(refuseToken)
	got := c.Get("/copied", token).Expect(t, http.StatusOK)
	expectHeader(t, got, "WWW-Authenticate")
	if !strings.HasPrefix(got.Body, "good") {
		t.Errorf("body %.40q", got.Body)
	}
	c.upstream.Respond(refuseToken)
	got = c.Get("/copied", token).Expect(t, http.StatusBadGateway)
	expectHeader(t, got, "WWW-Authenticate")
	if strings.Contains(got.Body, "canary") {
		t.Errorf("the upstream's refusal is in the answer: %.80q", got.Body)
	}
	c.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	c.Get("/copied", token).Expect(t, http.StatusBadGateway)

	c.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Kept", "yes")
		w.Header().Set("X-Dropped", "yes")
		w.WriteHeader(http.StatusNotFound)
	})
	got = c.Get("/copied", token).Expect(t, http.StatusGone)
	expectHeader(t, got, "X-Kept", "yes")
	expectHeader(t, got, "X-Dropped")
	expectHeader(t, got, "Cache-Control", "private")
	if got.Body != "seen " {
		t.Errorf("body %.80q", got.Body)
	}
}

// A second upstream in handle_response gets the token of the first: it stands
// behind the same token_exchange.
func TestSecondUpstreamInHandleResponse(t *testing.T) {
	t.Parallel()
	c := startAnswers(t)
	token := c.token(nil)
	c.upstream.Respond(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Accel-Redirect", "/files") })
	c.Get("/copied", token).Expect(t, http.StatusOK)
	c.expectExchanged(t, token)
	got := c.side.Last(t)
	if got.Holds(token) || harness.Claims(t, got.Bearer())["aud"] != "orders" {
		t.Errorf("the second upstream got %q", got.Header)
	}
}
