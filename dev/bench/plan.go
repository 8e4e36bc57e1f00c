package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
)

// A plan says how much is measured.
type plan struct {
	rounds, starts, requests, connections int
	profiles                              string
	only                                  *regexp.Regexp
}

func (p plan) run(ctx context.Context, out io.Writer) error {
	folder, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	at := place{folder: folder, binary: filepath.Join(folder, "caddy")}
	if err := build(ctx, at.binary); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "%d rounds of %d requests over %d connections, gateways started %d times\n",
		p.rounds, p.requests, p.connections, p.starts); err != nil {
		return err
	}
	for _, table := range []func(context.Context, place, io.Writer) error{p.costs, p.crowds, p.hangs} {
		if err := table(ctx, at, out); err != nil {
			return err
		}
	}
	return nil
}

// A place is where gateways find what they need.
type place struct{ folder, binary string }

// A heading is written once, and only if a row follows.
type heading struct {
	out  io.Writer
	text string
}

func (h *heading) row(text string) error {
	_, err := io.WriteString(h.out, h.text+text)
	h.text = ""
	return err
}
