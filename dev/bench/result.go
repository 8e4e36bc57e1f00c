package main

import (
	"fmt"
	"slices"
	"time"
)

// A role is what a gateway is in the comparison.
type role string

// The roles.
const (
	bare      role = "bare"
	bareAgain role = "bare again"
	ours      role = "gatehouse"
	signs     role = "bare, one signature" // by Go itself, and without a token
)

// roles are those of a scenario, in the order of every list of gateways.
func (s scenario) roles() []role {
	if s.kind == minted {
		return []role{bare, bareAgain, ours, signs}
	}
	return []role{bare, bareAgain, ours}
}

// A result is what the rounds of one scenario cost.
type result struct {
	bare, ours       []float64 // µs a request
	signature        []float64 // µs that one more costs bare Caddy, where that was measured
	oursToBare, same []float64 // ratios within one round: to the mean of both bare ones, of one to the other
}

// add takes what one round cost each role.
func (r *result) add(costs []time.Duration) {
	first, again, with := microseconds(costs[0]), microseconds(costs[1]), microseconds(costs[2])
	r.bare, r.ours = append(r.bare, (first+again)/2), append(r.ours, with)
	r.oursToBare, r.same = append(r.oursToBare, 2*with/(first+again)), append(r.same, again/first)
	if len(costs) > 3 { //nolint:mnd // there is one that signs
		r.signature = append(r.signature, microseconds(costs[3])-(first+again)/2)
	}
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

const costHeader = `
**Processor time of the gateway**

| what | compared | bare µs/request | µs/request | median ratio | quartiles | least to most | |
|---|---|---|---|---|---|---|---|
`

// rows are the lines of the table: ours beside bare, and bare beside itself.
func (r *result) rows(s scenario) string {
	return row(s.name, ours, r.bare, r.ours, r.oursToBare, r.verdict(s)) +
		row(s.name, bareAgain, r.bare, nil, r.same, "A/A")
}

func row(name string, compared role, base, costs, ratios []float64, note string) string {
	cost := "–"
	if costs != nil {
		cost = fmt.Sprintf("%.1f", quantile(costs, 0.5))
	}
	return fmt.Sprintf("| %s | %s | %.1f | %s | %.3f | %.3f to %.3f | %.3f to %.3f | %s |\n",
		name, compared, quantile(base, 0.5), cost, quantile(ratios, 0.5),
		quantile(ratios, 0.25), quantile(ratios, 0.75), slices.Min(ratios), slices.Max(ratios), note)
}

// verdict says what the median ratio means. Half of all ratios of a gateway with
// its like lie between the quartiles of A/A: what lies there is no difference.
func (r *result) verdict(s scenario) string {
	if s.kind == minted {
		return r.mintVerdict()
	}
	ratio := quantile(r.oursToBare, 0.5)
	if ratio >= quantile(r.same, 0.25) && ratio <= quantile(r.same, 0.75) {
		return "no difference seen"
	}
	if s.goal == 0 {
		return "no promise"
	}
	if ratio > s.goal {
		return fmt.Sprintf("misses %.2f", s.goal)
	}
	return fmt.Sprintf("within %.2f", s.goal)
}

// quantile interpolates between the two nearest values.
func quantile(values []float64, q float64) float64 {
	ordered := slices.Sorted(slices.Values(values))
	place := q * float64(len(ordered)-1)
	below := int(place)
	above := min(below+1, len(ordered)-1)
	return ordered[below] + (place-float64(below))*(ordered[above]-ordered[below])
}
