package main

import (
	"context"
	"fmt"
	"sync"
)

// A gate lets calls pass, or holds them until it is opened.
type gate struct {
	mu      sync.Mutex
	shut    bool
	waiting int
	changed *sync.Cond
}

func newGate() *gate {
	made := new(gate)
	made.changed = sync.NewCond(&made.mu)
	return made
}

func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting++
	g.changed.Broadcast()
	for g.shut {
		g.changed.Wait()
	}
	g.waiting--
}

func (g *gate) close() { g.set(true) }

func (g *gate) open() { g.set(false) }

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	g.changed.Broadcast()
}

// await waits until so many calls are held.
func (g *gate) await(ctx context.Context, calls int) error {
	stop := context.AfterFunc(ctx, g.changed.Broadcast)
	defer stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.waiting < calls {
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d calls are held: %w", g.waiting, calls, ctx.Err())
		}
		g.changed.Wait()
	}
	return nil
}
