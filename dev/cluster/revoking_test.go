//go:build cluster

package cluster_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// revoke revokes a token by its jti on a node, and returns an error unless the node
// acknowledged it.
func (n *node) revoke(h *held) error {
	h.asked.CompareAndSwap(0, time.Now().UnixNano())
	body, err := json.Marshal(map[string]any{"kind": "jti", "issuer": "main", "value": h.jti, "reason": "proof"})
	if err != nil {
		return err
	}
	status, said, err := n.call(http.MethodPost, "/gatehouse/revocations", "application/json", body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: status %d: %s", n.name, status, said)
	}
	h.acknowledged.CompareAndSwap(0, time.Now().UnixNano())
	return nil
}

// mustRevoke revokes a token and fails the test if it cannot.
func (n *node) mustRevoke(tb testing.TB, h *held) {
	tb.Helper()
	if err := n.revoke(h); err != nil {
		tb.Fatal(err)
	}
}

// listed is how many revocations a node knows.
func (n *node) listed(tb testing.TB) int {
	tb.Helper()
	status, said, err := n.call(http.MethodGet, "/gatehouse/revocations?limit=1", "", nil)
	if err != nil || status != http.StatusOK {
		tb.Fatalf("%s: status %d, %v: %s", n.name, status, err, said)
	}
	var list struct {
		Node struct{ Events *int }
	}
	if err := json.Unmarshal([]byte(said), &list); err != nil || list.Node.Events == nil {
		tb.Fatalf("%s: %v: no list: %.200s", n.name, err, said)
	}
	return *list.Node.Events
}
