package exchange

import (
	"math/rand/v2"
	"time"
)

// Bounds of the margin: how long before its end a token is no longer handed out,
// so that it does not expire on its way through the upstream.
const (
	minMargin = 2 * time.Second
	maxMargin = 30 * time.Second
)

// A lifetime says how long an issued token is good.
type lifetime struct {
	sent       time.Time
	expiry     time.Time // by the server's word; zero: it gave none
	freshUntil time.Time
	keepUntil  time.Time // zero: use once, keep not at all
}

// newLifetime works out how long an issued token may be used again. ends are the
// times that bound the token itself, caps those that bound its reuse; zero times
// bound nothing. Without a single end nobody knows how long it is good, so it is
// used once.
//
// Life counts from when the request was sent. The caller's token is among the
// caps: the server does not link the two (RFC 8693, section 2.1), so without it
// an issued token would outlive a logout.
func newLifetime(sent time.Time, ends, caps []time.Time) lifetime {
	life := lifetime{sent: sent}
	for _, end := range ends {
		life.expiry = earliest(life.expiry, end)
	}
	if life.expiry.IsZero() {
		return life
	}
	life.keepUntil = life.expiry
	for _, limit := range caps {
		life.keepUntil = earliest(life.keepUntil, limit)
	}
	life.freshUntil = life.keepUntil.Add(-margin(life.keepUntil.Sub(sent)))
	return life
}

// renewAt is when to ask for the next one ahead of time: at three quarters of the
// life, a tenth of that earlier or later, so that tokens issued together are not
// renewed together.
func (l lifetime) renewAt() time.Time {
	const quarters, least, spread = 0.75, 0.9, 0.2
	share := quarters * (least + spread*rand.Float64()) //nolint:gosec // spreads load
	return l.sent.Add(time.Duration(share * float64(l.keepUntil.Sub(l.sent))))
}

// margin is a tenth of a life within its bounds. A fixed one would keep a token
// of thirty seconds from ever being used twice.
func margin(life time.Duration) time.Duration {
	return min(max(life/10, minMargin), maxMargin)
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
