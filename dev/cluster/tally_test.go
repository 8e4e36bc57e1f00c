//go:build cluster

package cluster_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// spreadBound is how long an acknowledged revocation may be on its way to the other
// nodes before the runs call it lost. It is no aim: what it takes is measured.
const spreadBound = 2 * time.Second

// A tally is what the answers of callers come to.
type tally struct {
	requests, good, refused int
	// failed are requests with good tokens that did not get their answer.
	failed []answer
	// late are requests that began after their token's revocation was acknowledged, and
	// were let in; lost are those of them past spreadBound.
	late, lost []answer
}

// reckon judges answers. A request during which its token was being revoked may end
// either way.
func reckon(answers []answer) tally {
	t := tally{requests: len(answers)}
	for _, got := range answers {
		asked, acknowledged := got.held.asked.Load(), got.held.acknowledged.Load()
		switch passed := got.status == http.StatusOK; {
		case passed && acknowledged != 0 && got.begin.UnixNano() > acknowledged:
			t.late = append(t.late, got)
			if got.age() > spreadBound {
				t.lost = append(t.lost, got)
			}
		case passed:
			t.good++
		case (got.status == http.StatusUnauthorized || got.cut()) && asked != 0 && got.end.UnixNano() > asked:
			t.refused++
		default:
			t.failed = append(t.failed, got)
		}
	}
	return t
}

// cut tells whether the answer broke off in the middle: of a revoked token's it may.
func (a answer) cut() bool { return errors.Is(a.fault, io.ErrUnexpectedEOF) }

// age is how long ago the token's revocation had been acknowledged when the request
// began.
func (a answer) age() time.Duration {
	return time.Duration(a.begin.UnixNano() - a.held.acknowledged.Load())
}

func (a answer) String() string {
	name := "no node"
	if a.node != nil {
		name = a.node.name
	}
	return fmt.Sprintf("%s %s at %s: status %d %v, after %v", name, a.held.jti, a.begin.Format("15:04:05.000"), a.status, a.fault, a.end.Sub(a.begin))
}

// expect fails the test for each good request that failed and each revoked token that
// was let in past the bound, and says the first few.
func (t tally) expect(tb testing.TB) tally {
	tb.Helper()
	for what, which := range map[string][]answer{"valid requests failed": t.failed, "requests with revoked tokens were let in": t.lost} {
		if len(which) == 0 {
			continue
		}
		var some strings.Builder
		for _, each := range which[:min(10, len(which))] {
			some.WriteString("\n\t" + each.String())
		}
		tb.Errorf("%d of %d %s:%s", len(which), t.requests, what, some.String())
	}
	if t.good == 0 {
		tb.Error("no request was let in at all")
	}
	return t
}

// latest is the longest time past its acknowledgement that a revoked token was let in.
func (t tally) latest() time.Duration {
	var longest time.Duration
	for _, each := range t.late {
		longest = max(longest, each.age())
	}
	return longest
}
