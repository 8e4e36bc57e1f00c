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
	names := actors(of)
	return strings.Join(names[min(1, len(names)):], " ")
}

// before lists who acted before that actor, who may act with a token that was made of this
// one.
func before(actor string, of *token.Token) string {
	names := actors(of)
	if len(names) > 0 && names[0] == actor {
		names = names[1:]
	}
	return strings.Join(names, " ")
}

// actors are those of the act claim, newest first.
func actors(of *token.Token) (names []string) {
	act, _ := of.Claims.Get("act")
	for range maxActors {
		members, ok := act.(map[string]any)
		if !ok {
			break
		}
		name, _ := members["sub"].(string)
		names, act = append(names, name), members["act"]
	}
	return names
}

// transaction is the txn claim, by which the hops of one call are found.
func transaction(of *token.Token) string {
	txn, _ := of.Claims.Text("txn")
	return txn
}
