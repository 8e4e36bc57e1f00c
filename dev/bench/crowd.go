package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// crowdCallers arrive at once, with crowdTokens tokens between them that have
	// never been exchanged. A server is asked at most 64 things at a time, so more
	// tokens would measure that bound.
	crowdCallers, crowdTokens = 1000, 50
	// crowdServer is how long the server takes for one exchange, and crowdGoal how
	// long 99 of 100 callers wait at most.
	crowdServer, crowdGoal = time.Second, 1500 * time.Millisecond
)

const crowdHeader = `
**Waiting for an exchange**

| what | callers | p50 ms | p99 ms | longest ms | calls to the server | |
|---|---|---|---|---|---|---|
`

// crowds is the table of how long a crowd waits on a cold cache.
func (p plan) crowds(ctx context.Context, at place, out io.Writer) error {
	const name = "1,000 cold callers, server takes 1 s"
	if !p.only.MatchString(name) {
		return nil
	}
	rounds := max(p.rounds/4, 1)
	world, err := newWorld(at.folder, scenario{name: name, kind: exchanged, callers: 1 + rounds*crowdTokens})
	if err != nil {
		return err
	}
	defer world.close()
	g, err := start(ctx, at, world.caddyfile(ours))
	if err != nil {
		return err
	}
	defer g.stop()
	// The key set and the metadata are known, the tokens are not.
	if err := world.single(ctx, g, world.callers[0]); err != nil {
		return err
	}
	world.server.before = func() { <-time.After(crowdServer) }
	var waits []float64
	for round := range rounds {
		found, err := world.crowd(ctx, g, world.callers[1+round*crowdTokens:][:crowdTokens])
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		waits = append(waits, found...)
	}
	calls := world.server.asked.Load() - 1
	if calls != int64(rounds*crowdTokens) {
		return fmt.Errorf("%s: %d calls for %d tokens", name, calls, rounds*crowdTokens)
	}
	verdict := "within"
	if quantile(waits, 0.99) > milliseconds(crowdGoal) {
		verdict = "misses"
	}
	table := heading{out: out, text: crowdHeader}
	return table.row(fmt.Sprintf("| %s | %d × %d | %.0f | %.0f | %.0f | %d, one for each token | %s p99 %.0f ms |\n",
		name, rounds, crowdCallers, quantile(waits, 0.5), quantile(waits, 0.99), quantile(waits, 1), calls,
		verdict, milliseconds(crowdGoal)))
}

func (w *world) single(ctx context.Context, g *gateway, who *caller) error {
	line, err := w.line(ctx, g, 0)
	if err != nil {
		return err
	}
	request, err := who.request("/orders/17")
	if err != nil {
		return err
	}
	return line.call(request)
}

// crowd lets all callers ask at once and returns how long each waited, in ms.
func (w *world) crowd(ctx context.Context, g *gateway, callers []*caller) ([]float64, error) {
	w.forget()
	waits, faults := make([]float64, crowdCallers), make([]error, crowdCallers)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range crowdCallers {
		line, err := w.line(ctx, g, i)
		if err != nil {
			return nil, err
		}
		request, err := callers[i%len(callers)].request("/orders/17")
		if err != nil {
			return nil, err
		}
		all.Go(func() {
			<-begin
			asked := time.Now()
			faults[i] = line.call(request)
			waits[i] = milliseconds(time.Since(asked))
		})
	}
	close(begin)
	all.Wait()
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return waits, w.account(ours, crowdCallers)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
