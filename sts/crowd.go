package sts

import (
	"context"
	"errors"
	"time"
)

// Bounds of the crowd that waits for its secrets to be hashed.
const (
	// hashesAtOnce bounds memory: each takes 64 MiB at most.
	hashesAtOnce = 2
	// hashesWaiting bounds how many wait, hashWait how long.
	hashesWaiting = 32
	hashWait      = 2 * time.Second
)

var errCrowd = errors.New("too many secrets are being checked at once")

// A Crowd lets a few secrets be hashed at once: a hash costs memory and time on
// purpose, and anybody may send a wrong secret. All token services of a process
// share one.
type Crowd struct{ inside, waiting chan struct{} }

// NewCrowd makes a crowd of nobody.
func NewCrowd() *Crowd {
	return &Crowd{inside: make(chan struct{}, hashesAtOnce), waiting: make(chan struct{}, hashesWaiting)}
}

// enter waits for its turn. Whoever got it calls leave.
func (c *Crowd) enter(ctx context.Context) (leave func(), err error) {
	select {
	case c.waiting <- struct{}{}:
		defer func() { <-c.waiting }()
	default:
		return nil, errCrowd
	}
	timer := time.NewTimer(hashWait)
	defer timer.Stop()
	select {
	case c.inside <- struct{}{}:
		return func() { <-c.inside }, nil
	case <-timer.C:
		return nil, errCrowd
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
