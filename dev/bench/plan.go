package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// A plan says how much is measured.
type plan struct {
	rounds, requests, connections int
	profiles                      string
}

// A scenario is how many callers take turns, and the largest ratio that the
// project promises for it.
type scenario struct {
	callers int
	goal    float64
	mints   bool // a token is signed for each request, by grant local; the goal is in signatures
}

var scenarios = []scenario{{callers: 1, goal: 1.10}, {callers: 10_000, goal: 1.20}, {callers: 1, mints: true}}

func (p plan) run(ctx context.Context, out io.Writer) error {
	folder, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary := filepath.Join(folder, "caddy")
	if err := build(ctx, binary); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%d rounds of %d requests over %d connections\n\n%s",
		p.rounds, p.requests, p.connections, header); err != nil {
		return err
	}
	for _, s := range scenarios {
		measured, err := p.measure(ctx, binary, folder, s)
		if err != nil {
			return fmt.Errorf("%d callers: %w", s.callers, err)
		}
		if _, err := io.WriteString(out, measured.rows(s)); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the rounds of one scenario with gateways of its own, so that no
// memory of another one weighs on it.
func (p plan) measure(ctx context.Context, binary, folder string, s scenario) (*result, error) {
	world, err := newWorld(s)
	if err != nil {
		return nil, err
	}
	defer world.close()
	gateways, err := startAll(ctx, binary, folder, world)
	if err != nil {
		return nil, err
	}
	defer stopAll(gateways)
	for i, g := range gateways {
		// Once around all callers: afterwards every token is known and exchanged.
		if err := world.load(ctx, g, p.connections, max(s.callers, p.requests), roles[i]); err != nil {
			return nil, err
		}
	}
	measured, err := p.alternate(ctx, world, gateways)
	if err == nil && world.server.exchanges.Load() != s.exchanges() {
		err = fmt.Errorf("%d exchanges for %d callers: not every one was remembered", world.server.exchanges.Load(), s.callers)
	}
	if err == nil && p.profiles != "" {
		err = p.profile(ctx, world, gateways, s)
	}
	return measured, err
}

// exchanges is how often the server is asked.
func (s scenario) exchanges() int64 {
	if s.mints {
		return 0
	}
	return int64(s.callers)
}

// startAll starts a gateway for each role, in their order, or none.
func startAll(ctx context.Context, binary, folder string, world *world) ([]*gateway, error) {
	gateways := make([]*gateway, 0, len(roles))
	for _, role := range roles {
		started, err := start(ctx, binary, folder, world.caddyfile(role))
		if err != nil {
			stopAll(gateways)
			return nil, err
		}
		gateways = append(gateways, started)
	}
	return gateways, nil
}

func stopAll(gateways []*gateway) {
	for _, g := range gateways {
		g.stop()
	}
}

// turns is how often the gateways take turns in a round: whatever comes and goes
// on the machine falls on all of them.
const turns = 8

// alternate measures the rounds. Within one the gateways take many short turns,
// in a new order each time.
func (p plan) alternate(ctx context.Context, world *world, gateways []*gateway) (*result, error) {
	measured := new(result)
	for range p.rounds {
		var costs [len(roles)]time.Duration
		for range turns {
			for _, i := range rand.Perm(len(gateways)) { //nolint:gosec // the order is no secret
				used, err := p.turn(ctx, world, gateways[i], roles[i])
				if err != nil {
					return nil, err
				}
				costs[i] += used
			}
		}
		for i := range costs {
			costs[i] /= time.Duration(turns * p.turnRequests())
		}
		measured.add(costs)
	}
	return measured, nil
}

func (p plan) turnRequests() int { return max(p.requests/turns, 1) }

// turn is the processor time of one turn. Some requests go ahead: a gateway that
// stood still finds the processor's caches full of what the others left.
func (p plan) turn(ctx context.Context, world *world, g *gateway, r role) (time.Duration, error) {
	if err := world.load(ctx, g, p.connections, p.turnRequests()/4, r); err != nil {
		return 0, err
	}
	before, err := g.processorTime()
	if err != nil {
		return 0, err
	}
	if err := world.load(ctx, g, p.connections, p.turnRequests(), r); err != nil {
		return 0, err
	}
	after, err := g.processorTime()
	return after - before, err
}

// profile keeps each gateway busy once more while it writes a processor profile.
func (p plan) profile(ctx context.Context, world *world, gateways []*gateway, s scenario) error {
	for i, g := range gateways {
		file := filepath.Join(p.profiles, fmt.Sprintf("%s-%d.pprof", roles[i], s.callers))
		done := make(chan error, 1)
		go func() { done <- g.profile(ctx, file) }()
		for running := true; running; {
			if err := world.load(ctx, g, p.connections, p.requests, roles[i]); err != nil {
				return err
			}
			select {
			case err := <-done:
				if err != nil {
					return err
				}
				running = false
			default:
			}
		}
	}
	return nil
}
