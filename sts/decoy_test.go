package sts_test

import (
	"runtime"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/sts"
)

// Whether a client exists, and has a secret, does not show in what a wrong secret
// costs: the memory of the hash is used for all of them alike.
func TestClientsThatDoNotExistCostTheSame(t *testing.T) {
	r := newRig(t, nil)
	const hashMemory = 7168 << 10
	for _, client := range []string{"orders", "nobody", "keyed", "mesh"} {
		request := r.request(clientForm(params{"client_id": client, "client_secret": "wrong"}).body())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r.send(request, sts.OutcomeClient)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used < hashMemory || used > 2*hashMemory {
			t.Errorf("%s: %d octets, want those of one hash", client, used)
		}
	}
}
