package proof_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/store"
)

// proveUntilRefused checks proof after proof of one key.
func proveUntilRefused(t *testing.T, checker *proof.DPoP, c client, name string) int {
	t.Helper()
	for n := range 1000 {
		_, err := checker.Check(t.Context(), c.request(t, c.prove(nil, map[string]any{"jti": fmt.Sprint(name, n)})))
		if err == nil {
			continue
		}
		if !errors.Is(err, proof.TooMany) || !strings.Contains(err.Error(), "as many used proofs as there is room for others") {
			t.Errorf("refused by %v", err)
		}
		return n
	}
	t.Fatalf("%s proves without end", name)
	return 0
}

// Who proves without end is refused itself, at every checker that shares the memory,
// and leaves room for others; all of it is forgotten with the proofs.
func TestProofsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		marks := store.NewMemory(64)
		config := proof.DPoPConfig{Marks: marks, Shares: proof.NewShares(64, 0)}
		one, other := newDPoP(t, config), newDPoP(t, config)
		greedy, second, honest := newClient(t, "ES256"), newClient(t, "ES256"), newClient(t, "ES256")
		if n := proveUntilRefused(t, one, greedy, "greedy"); n != 32 {
			t.Errorf("the first one proved %d times", n)
		}
		if n := proveUntilRefused(t, other, greedy, "elsewhere"); n != 0 {
			t.Errorf("elsewhere it proved %d times more", n)
		}
		if n := proveUntilRefused(t, one, second, "second"); n != 16 {
			t.Errorf("the second one proved %d times", n)
		}
		if _, err := other.Check(t.Context(), honest.request(t, honest.prove(nil, nil))); err != nil {
			t.Errorf("an honest one: %v", err)
		}
		if got := marks.Len("dpop"); got != 49 {
			t.Errorf("%d proofs are remembered", got)
		}
		<-time.After(4 * time.Minute)
		if n := proveUntilRefused(t, one, greedy, "later"); n != 32 {
			t.Errorf("later the first one proved %d times", n)
		}
	})
}

// Who proves evenly, within its share, is never refused: some 62 proofs a minute live
// at once, and no more than 70 are counted.
func TestProofsAreCountedEvenly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checker := newDPoP(t, proof.DPoPConfig{Marks: store.NewMemory(0), Shares: proof.NewShares(2*70, 0)})
		steady := newClient(t, "ES256")
		for n := range 600 {
			if _, err := checker.Check(t.Context(), steady.request(t, steady.prove(nil, map[string]any{"jti": fmt.Sprint(n)}))); err != nil {
				t.Fatalf("proof %d: %v", n, err)
			}
			<-time.After(time.Second)
		}
	})
}
