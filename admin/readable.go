package admin

import (
	"fmt"
	"strings"
	"time"
)

const day = 24 * time.Hour

// span is a duration as people say it: the largest unit that it has, and the next one
// where that tells something.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	default:
		return fmt.Sprintf("%dd", d/day)
	}
}

// written is a duration as it is written in a Caddyfile: 1h, and not 1h0m0s.
func written(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// ago says how long before now something was, or how long after, "-" for no time.
func ago(now, at time.Time) string {
	switch {
	case at.IsZero():
		return "-"
	case at.After(now.Add(time.Second)):
		return "in " + span(at.Sub(now))
	case now.Sub(at) < time.Second:
		return "just now"
	default:
		return span(now.Sub(at)) + " ago"
	}
}

// size says how many octets something has.
func size(octets uint64) string {
	const step = 1024
	switch {
	case octets < step:
		return fmt.Sprintf("%d B", octets)
	case octets < step*step:
		return fmt.Sprintf("%.1f KiB", float64(octets)/step)
	default:
		return fmt.Sprintf("%.1f MiB", float64(octets)/(step*step))
	}
}
