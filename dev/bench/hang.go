package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

const (
	// hangCallers wait for the server that hangs: as many as are asked at a time
	// (hangCalls), and some in the queue behind.
	hangCallers, hangCalls = 100, 56
	// hangConnections is how many requests of the other route run at a time.
	hangConnections = 4
	// hangPatience is how long the callers may take until they hang.
	hangPatience = 30 * time.Second
)

const hangHeader = `
**Latency of a route beside one whose exchange server hangs**

| what | compared | quiet ms | ms | median ratio | quartiles | least to most | |
|---|---|---|---|---|---|---|---|
`

// A latency is what the rounds found at one quantile.
type latency struct {
	q                 float64
	quiet, hanging    []float64 // ms
	toQuiet, toItself []float64 // ratios within one round
}

func (l *latency) add(quiet, again, hanging []float64) {
	first, second, third := quantile(quiet, l.q), quantile(again, l.q), quantile(hanging, l.q)
	l.quiet, l.hanging = append(l.quiet, (first+second)/2), append(l.hanging, third)
	l.toQuiet, l.toItself = append(l.toQuiet, 2*third/(first+second)), append(l.toItself, second/first)
}

func (l *latency) rows(name string) string {
	name = fmt.Sprintf("%s, p%.0f", name, 100*l.q)
	verdict := "compare with A/A"
	if median := quantile(l.toQuiet, 0.5); median <= quantile(l.toItself, 0.75) {
		verdict = "no difference seen"
	}
	return latencyRow(name, "hanging", l.quiet, l.hanging, l.toQuiet, verdict) +
		latencyRow(name, "quiet again", l.quiet, nil, l.toItself, "A/A")
}

func latencyRow(name, compared string, quiet, values, ratios []float64, note string) string {
	value := "–"
	if values != nil {
		value = fmt.Sprintf("%.2f", quantile(values, 0.5))
	}
	return fmt.Sprintf("| %s | %s | %.2f | %s | %.3f | %.3f to %.3f | %.3f to %.3f | %s |\n",
		name, compared, quantile(quiet, 0.5), value, quantile(ratios, 0.5),
		quantile(ratios, 0.25), quantile(ratios, 0.75), slices.Min(ratios), slices.Max(ratios), note)
}

// hangs is the table of what a hanging server does to a route that does not need
// it: the same gateway, with and without callers that hang.
func (p plan) hangs(ctx context.Context, at place, out io.Writer) error {
	const name = "another exchange's server hangs"
	if !p.only.MatchString(name) {
		return nil
	}
	world, err := newWorld(at.folder, scenario{name: name, kind: held, callers: 1 + p.rounds*hangCallers})
	if err != nil {
		return err
	}
	defer world.close()
	g, err := start(ctx, at, world.caddyfile(ours))
	if err != nil {
		return err
	}
	defer g.stop()
	found := []*latency{{q: 0.5}, {q: 0.99}}
	for round := range p.rounds {
		if err := p.hang(ctx, world, g, world.callers[1+round*hangCallers:][:hangCallers], found); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	table := heading{out: out, text: hangHeader}
	for _, l := range found {
		if err := table.row(l.rows(name)); err != nil {
			return err
		}
	}
	return nil
}

// hang is one round: twice quiet, once hanging, in a new order each time.
func (p plan) hang(ctx context.Context, w *world, g *gateway, hanging []*caller, found []*latency) error {
	var waits [3][]float64
	for _, i := range rand.Perm(len(waits)) { //nolint:gosec // the order is no secret
		release := func() error { return nil }
		if i == 2 {
			var err error
			if release, err = w.hold(ctx, g, hanging); err != nil {
				return err
			}
		}
		measured, err := p.otherRoute(ctx, w, g)
		if err := errors.Join(err, release()); err != nil {
			return err
		}
		waits[i] = measured
	}
	for _, l := range found {
		l.add(waits[0], waits[1], waits[2])
	}
	return nil
}

// hold makes the other server hang and returns when the callers do. Whoever is
// released is answered as ever: what is measured is not a breaker that has opened.
func (w *world) hold(ctx context.Context, g *gateway, callers []*caller) (release func() error, err error) {
	w.gate.close()
	faults := make([]error, len(callers))
	var all sync.WaitGroup
	release = func() error {
		w.gate.open()
		all.Wait()
		return errors.Join(faults...)
	}
	for i, who := range callers {
		line, err := w.line(ctx, g, hangConnections+i)
		if err != nil {
			return release, errors.Join(err, release())
		}
		request, err := who.request("/held/17")
		if err != nil {
			return release, errors.Join(err, release())
		}
		all.Go(func() { faults[i] = line.call(request) })
	}
	ctx, cancel := context.WithTimeout(ctx, hangPatience)
	defer cancel()
	if err := w.gate.await(ctx, hangCalls); err != nil {
		return release, errors.Join(err, release())
	}
	return release, nil
}

// otherRoute measures a route whose exchange has long been remembered. Some
// requests go ahead.
func (p plan) otherRoute(ctx context.Context, w *world, g *gateway) ([]float64, error) {
	if _, err := w.timed(ctx, g, p.requests/4); err != nil {
		return nil, err
	}
	return w.timed(ctx, g, p.requests)
}

func (w *world) timed(ctx context.Context, g *gateway, requests int) ([]float64, error) {
	request, err := w.callers[0].request("/orders/17")
	if err != nil {
		return nil, err
	}
	var waits [hangConnections][]float64
	var faults [hangConnections]error
	var all sync.WaitGroup
	for i := range waits {
		line, err := w.line(ctx, g, i)
		if err != nil {
			return nil, err
		}
		all.Go(func() {
			for range requests / hangConnections {
				asked := time.Now()
				if faults[i] = line.call(request); faults[i] != nil {
					return
				}
				waits[i] = append(waits[i], milliseconds(time.Since(asked)))
			}
		})
	}
	all.Wait()
	return slices.Concat(waits[:]...), errors.Join(faults[:]...)
}
