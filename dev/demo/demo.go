package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Where the quickstart listens. The addresses are fixed, so that what the page
// prints can be pasted; a test compares them with the Caddyfile.
const (
	apiURL      = "http://127.0.0.1:8080"
	providerURL = "http://127.0.0.1:9000"
	adminURL    = "http://localhost:2019"
	// upstreamPort also tells the upstream from Caddy's other servers.
	upstreamPort = "9001"
)

// patience is how long anything may take to come true. It is a bound for what is
// broken, never a measure: what works does not wait for it.
const patience = 30 * time.Second

// interrupted is the status of a walk that a signal cut short: 128 + SIGINT.
const interrupted = 130

// Options say how the demo runs.
type Options struct {
	// Gateway is the path of gatehouse-dev.
	Gateway string
	// Caddyfile is the path of the quickstart.
	Caddyfile string
	// CI ends the demo after the walk, with a closing line, instead of staying up.
	CI bool
	// Color paints with ANSI sequences.
	Color bool
	// Out gets the page.
	Out io.Writer
}

// Run does it all and returns the exit status: 0 if every check held, 1 if not,
// 130 if ctx ended before the walk did. When it returns, what it started has
// ended and what it wrote is removed; only the log of a walk that failed stays,
// and the page names it.
func Run(ctx context.Context, o Options) int {
	page := NewPage(o.Out, o.Color)
	gateway, err := start(ctx, o)
	if err != nil {
		page.stuck(ctx, err)
		return end(ctx, page, o.CI)
	}
	defer gateway.stop()
	t := tour{Page: page, client: newClient(gateway.faultsToken()), gateway: gateway}
	defer t.client.close()

	err = t.walk(ctx)
	page.stuck(ctx, err)
	if page.Failed() > 0 && ctx.Err() == nil {
		gateway.keepLog(page, o.CI)
	}
	if o.CI || err != nil || ctx.Err() != nil {
		return end(ctx, page, o.CI)
	}
	page.stuck(ctx, t.play(ctx))
	return status(page)
}

// stuck says what keeps the demo from going on. After a signal nothing is a
// failure any more.
func (p *Page) stuck(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil {
		return
	}
	p.Line("")
	p.Check(false, "the demo cannot go on", err)
}

// end writes the closing line of CI and returns the status.
func end(ctx context.Context, page *Page, ci bool) int {
	if ctx.Err() != nil {
		return interrupted
	}
	if ci {
		page.Line("")
		page.Line(fmt.Sprintf("%d passed, %d failed", page.Passed(), page.Failed()))
	}
	return status(page)
}

func status(page *Page) int {
	if page.Failed() > 0 {
		return 1
	}
	return 0
}

// errNever is wrapped when something did not come true in time.
var errNever = errors.New("never came true")

// await looks again and again until the condition holds.
func await(ctx context.Context, what string, holds func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", errNever, what)
		case <-tick.C:
		}
	}
	return nil
}
