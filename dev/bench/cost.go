package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"
)

// costs is the table of processor time.
func (p plan) costs(ctx context.Context, at place, out io.Writer) error {
	table := heading{out: out, text: costHeader}
	for _, s := range scenarios {
		if !p.only.MatchString(s.name) {
			continue
		}
		measured, err := p.measure(ctx, at, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if err := table.row(measured.rows(s)); err != nil {
			return err
		}
	}
	return nil
}

// measure runs the rounds of one scenario with gateways of its own, so that no
// memory of another one weighs on it.
func (p plan) measure(ctx context.Context, at place, s scenario) (*result, error) {
	world, err := newWorld(at.folder, s)
	if err != nil {
		return nil, err
	}
	defer world.close()
	gateways, err := startAll(ctx, at, world)
	if err != nil {
		return nil, err
	}
	defer stopAll(gateways)
	for i, g := range gateways {
		// Once around all callers: afterwards every token is known. Bare Caddy has
		// none to know.
		warm := p.requests
		if roles[i] == ours {
			warm = max(s.callers, p.requests)
		}
		if err := world.load(ctx, g, p.connections, warm, roles[i]); err != nil {
			return nil, err
		}
	}
	measured, err := p.alternate(ctx, world, gateways)
	if asked := world.server.asked.Load(); err == nil && asked != s.calls() {
		err = fmt.Errorf("the server was asked %d times about %d callers: not every token was remembered", asked, s.callers)
	}
	if err == nil && p.profiles != "" {
		err = p.profile(ctx, world, gateways)
	}
	return measured, err
}

// startAll starts a gateway for each role, in their order, or none.
func startAll(ctx context.Context, at place, world *world) ([]*gateway, error) {
	gateways := make([]*gateway, 0, len(roles))
	for _, role := range roles {
		started, err := start(ctx, at, world.caddyfile(role))
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
func (p plan) profile(ctx context.Context, world *world, gateways []*gateway) error {
	name := strings.NewReplacer(", ", "-", ",", "", " ", "-").Replace(world.scenario.name)
	for i, g := range gateways {
		file := filepath.Join(p.profiles, fmt.Sprintf("%s-%s.pprof", roles[i], name))
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
