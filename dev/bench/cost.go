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
// memory of another one weighs on it. It starts them anew several times: where in
// memory its things lie, a process keeps for its life, and of two equal ones one was
// seen to take a sixth more than the other throughout.
func (p plan) measure(ctx context.Context, at place, s scenario) (*result, error) {
	measured := new(result)
	starts := min(max(p.starts, 1), max(p.rounds, 1))
	for i := range starts {
		once := p
		if i < starts-1 {
			once.profiles = "" // those of the last ones are as good
		}
		if err := once.measureOnce(ctx, at, s, measured, share(p.rounds, starts, i)); err != nil {
			return nil, err
		}
	}
	return measured, nil
}

// share is what the numbered part of so many equal ones gets of a whole.
func share(whole, parts, number int) int {
	if number < whole%parts {
		return whole/parts + 1
	}
	return whole / parts
}

// measureOnce adds some rounds with gateways that are started for them.
func (p plan) measureOnce(ctx context.Context, at place, s scenario, measured *result, rounds int) error {
	world, err := newWorld(at.folder, s)
	if err != nil {
		return err
	}
	defer world.close()
	gateways, err := startAll(ctx, at, world)
	if err != nil {
		return err
	}
	defer stopAll(gateways)
	for i, g := range gateways {
		role := s.roles()[i]
		if err := world.settle(ctx, g); err != nil {
			return fmt.Errorf("%s: %w", role, err)
		}
		// Once around all callers: afterwards every token is known. Bare Caddy has
		// none to know.
		warm := p.requests
		if role == ours {
			warm = max(s.callers, p.requests)
		}
		if err := world.load(ctx, g, p.connections, warm, role); err != nil {
			return err
		}
	}
	err = p.alternate(ctx, world, gateways, measured, rounds)
	if asked := world.server.asked.Load(); err == nil && asked != s.calls() {
		err = fmt.Errorf("the server was asked %d times about %d callers: not every token was remembered", asked, s.callers)
	}
	if err == nil && p.profiles != "" {
		err = p.profile(ctx, world, gateways)
	}
	return err
}

// startAll starts a gateway for each role, in their order, or none.
func startAll(ctx context.Context, at place, world *world) ([]*gateway, error) {
	var gateways []*gateway
	for _, role := range world.scenario.roles() {
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
func (p plan) alternate(ctx context.Context, world *world, gateways []*gateway, measured *result, rounds int) error {
	roles := world.scenario.roles()
	for range rounds {
		costs := make([]time.Duration, len(roles))
		for range turns {
			for _, i := range rand.Perm(len(gateways)) { //nolint:gosec // the order is no secret
				used, err := p.turn(ctx, world, gateways[i], roles[i])
				if err != nil {
					return err
				}
				costs[i] += used
			}
		}
		for i := range costs {
			costs[i] /= time.Duration(turns * p.turnRequests())
		}
		measured.add(costs)
	}
	return nil
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
	name, roles := strings.NewReplacer(", ", "-", ",", "", " ", "-").Replace(world.scenario.name), world.scenario.roles()
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
