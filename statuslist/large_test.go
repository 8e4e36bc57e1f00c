//go:build !race

package statuslist_test

import (
	"testing"
	"testing/synctest"

	"github.com/caddy-gatehouse/gatehouse/statuslist"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A list is read up to its bound, and not one byte beyond.
func TestLargeList(t *testing.T) {
	for name, test := range map[string]struct {
		size int
		want error
		come statuslist.Outcome
	}{
		"as large as can be": {16 << 20, nil, statuslist.OutcomeOK},
		"too large":          {16<<20 + 1, token.StatusUnknown, statuslist.OutcomeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.packed = make([]byte, test.size)
				r.check(t, 0, test.want)
				if r.fetches() != 1 || r.seen()[test.come] != 1 {
					t.Errorf("%d fetches, %v, %+v", r.fetches(), r.seen(), r.Snapshot())
				}
			})
		})
	}
}

// The bound of all lists together is 64 MiB.
func TestLargeBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { keepsInside(t, newRig(t), 10<<20) })
}
