package audit

import (
	"strings"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// maxActors bounds what is printed of a chain: no longer one is exchanged or minted.
const maxActors = 8

// earlierActors lists who acted before the current actor, newest first. They decide
// nothing (RFC 8693, section 4.1); the trail is where they are of use.
func earlierActors(of *token.Token) string {
	act, _ := of.Claims.Get("act")
	var names []string
	for range maxActors {
		members, ok := act.(map[string]any)
		if !ok {
			break
		}
		name, _ := members["sub"].(string)
		names, act = append(names, name), members["act"]
	}
	if len(names) < 2 { //nolint:mnd // the first is the current one
		return ""
	}
	return strings.Join(names[1:], " ")
}

// transaction is the txn claim, by which the hops of one call are found.
func transaction(of *token.Token) string {
	txn, _ := of.Claims.Text("txn")
	return txn
}
