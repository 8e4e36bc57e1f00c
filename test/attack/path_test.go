package attack_test

import (
	"net/http"
	"path"
	"strings"
	"testing"
)

// However a path is spelled: what an upstream would take for a guarded one does
// not reach it without the scope.
func TestAttack16PathNormalisation(t *testing.T) {
	w := attacked(t)
	lacking, holding := w.token(nil), w.token(map[string]any{"scope": "orders:admin"})
	w.accepted(w.paths+"/orders/1", holding)
	for _, spelling := range []string{
		"/orders/1", "//orders/1", "/./orders/1", "/x/../orders/1", "/x/%2e%2e/orders/1", "/%6frders/1", "/%6Frders/1", "/orders%2f1",
		"/orders%2F1", "/orders/;a/1", "/orders;a/1", "/;a/orders/1", "/orders\\1", "\\orders\\1", "/x/..%2forders/1", "/x/..;/orders/1",
		"/ORDERS/1", "/orders/../orders/1", "/orders//1", "/orders/%2e/1", "/orders/1?", "/orders/1#x", "/orders/%00", "/orders/1%0a",
		"/%2e%2e/orders/1", "///orders///1", "/orders/..", "/%2forders/1", "/%5corders%5c1", "/x%2f..%2forders%2f1", "/%256frders/1",
		"http://" + w.paths + "/orders/1", "/x/..\\orders/1", "/orders/1 HTTP/1.1\r\nX: y\r\nX-Rest:", "/.../orders/1", "orders/1", "*",
	} {
		t.Run(spelling, func(t *testing.T) {
			w := attacked(t)
			for credential, status := range map[string]int{"": http.StatusUnauthorized, "Authorization: Bearer " + lacking: http.StatusForbidden} {
				reached := len(w.upstream.Received())
				answer := w.raw(w.paths, "GET "+spelling+" HTTP/1.1", credential+"\r\nX-Last: x")
				if answer.Status != status && answer.Status != http.StatusBadRequest && (credential == "" || !answeredByNobody(spelling, answer.Body)) {
					t.Errorf("%d for %.20q: %s", answer.Status, credential, answer.Body)
				}
				if len(w.upstream.Received()) != reached {
					t.Errorf("reached the upstream as %q", w.upstream.Last(t).Path)
				}
			}
		})
	}
}

// answeredByNobody tells whether a spelling is none of the guarded path's, so
// that no route took it: Caddy then answers with nothing.
func answeredByNobody(spelling, body string) bool {
	return body == "" && !strings.HasPrefix(path.Clean("/"+strings.ToLower(spelling)), "/orders/")
}

// Where two rules apply, both do; where none does, nobody is let through.
func TestAttack17OverlappingRules(t *testing.T) {
	w := attacked(t)
	w.accepted(w.paths+"/orders/deep/1", w.token(map[string]any{"scope": "orders:deep orders:admin"}))
	for _, scope := range []string{"orders:deep", "orders:admin", "", "orders", "orders:", "orders:admin,orders:deep", "ORDERS:ADMIN orders:deep"} {
		t.Run(scope, func(t *testing.T) {
			w := attacked(t)
			reached := len(w.upstream.Received())
			w.get(w.paths+"/orders/deep/1", w.token(map[string]any{"scope": scope})).Expect(t, http.StatusForbidden)
			if len(w.upstream.Received()) != reached {
				t.Error("the upstream was reached")
			}
		})
	}
	reached := len(w.upstream.Received())
	w.refusedAs(w.request(http.MethodGet, w.paths+"/unknown", ""), http.StatusUnauthorized, challengeMissing)
	w.get(w.paths+"/unknown", w.token(nil))
	w.get("/unknown", w.token(nil))
	if len(w.upstream.Received()) != reached {
		t.Error("a path without a route reached the upstream")
	}
}
