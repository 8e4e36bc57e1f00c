package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// A role is what a gateway is in the comparison.
type role string

// The roles, in the order of every list of gateways.
const (
	bare      role = "bare"
	bareAgain role = "bare again"
	ours      role = "gatehouse"
	minting   role = "gatehouse, minting" // ours, in a scenario of its own
)

var roles = [...]role{bare, bareAgain, ours}

// A result is what the rounds of one scenario cost.
type result struct {
	bare, ours       []float64 // µs a request
	oursToBare, same []float64 // ratios within one round: to the mean of both bare ones, of one to the other
}

func (r *result) add(costs [len(roles)]time.Duration) {
	first, again, with := microseconds(costs[0]), microseconds(costs[1]), microseconds(costs[2])
	r.bare, r.ours = append(r.bare, (first+again)/2), append(r.ours, with)
	r.oursToBare, r.same = append(r.oursToBare, 2*with/(first+again)), append(r.same, again/first)
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

const header = `| callers | compared | bare µs/request | µs/request | median ratio | quartiles | least to most | |
|---|---|---|---|---|---|---|---|
`

// rows are the lines of the table: ours beside bare, and bare beside itself.
func (r *result) rows(s scenario) string {
	if s.mints {
		return row(s.callers, minting, r.bare, r.ours, r.oursToBare, r.mintVerdict()) +
			row(s.callers, bareAgain, r.bare, nil, r.same, "A/A")
	}
	return row(s.callers, ours, r.bare, r.ours, r.oursToBare, r.verdict(s)) +
		row(s.callers, bareAgain, r.bare, nil, r.same, "A/A")
}

func row(callers int, compared role, base, costs, ratios []float64, note string) string {
	cost := "–"
	if costs != nil {
		cost = fmt.Sprintf("%.1f", quantile(costs, 0.5))
	}
	return fmt.Sprintf("| %d | %s | %.1f | %s | %.3f | %.3f to %.3f | %.3f to %.3f | %s |\n",
		callers, compared, quantile(base, 0.5), cost, quantile(ratios, 0.5),
		quantile(ratios, 0.25), quantile(ratios, 0.75), slices.Min(ratios), slices.Max(ratios), note)
}

// verdict says what the median ratio means. Half of all ratios of a gateway with
// its like lie between the quartiles of A/A: what lies there is no difference.
func (r *result) verdict(s scenario) string {
	ratio := quantile(r.oursToBare, 0.5)
	if ratio >= quantile(r.same, 0.25) && ratio <= quantile(r.same, 0.75) {
		return "no difference seen"
	}
	if ratio > s.goal {
		return fmt.Sprintf("misses %.2f", s.goal)
	}
	return fmt.Sprintf("within %.2f", s.goal)
}

// What a request may cost more than bare Caddy where its token is minted: signatures,
// and microseconds for all else.
const (
	mintSignatures = 1.3
	mintRest       = 15.0
)

// mintVerdict compares in microseconds, with signatures of this very machine.
func (r *result) mintVerdict() string {
	signature, err := signatureCost()
	if err != nil {
		return err.Error()
	}
	more, goal := quantile(r.ours, 0.5)-quantile(r.bare, 0.5), mintSignatures*signature+mintRest
	word := "within"
	if more > goal {
		word = "misses"
	}
	return fmt.Sprintf("%.1f µs more: %s %.1f (a signature: %.1f)", more, word, goal, signature)
}

// signatureCost is the median of an ES256 signature by Go itself, in microseconds.
func signatureCost() (float64, error) {
	const signatures = 2000
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, fmt.Errorf("making a key: %w", err)
	}
	digest := sha256.Sum256([]byte("signed"))
	costs := make([]float64, 0, signatures)
	for range signatures {
		began := time.Now()
		if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
			return 0, fmt.Errorf("signing: %w", err)
		}
		costs = append(costs, microseconds(time.Since(began)))
	}
	return quantile(costs, 0.5), nil
}

// quantile interpolates between the two nearest values.
func quantile(values []float64, q float64) float64 {
	ordered := slices.Sorted(slices.Values(values))
	place := q * float64(len(ordered)-1)
	below := int(place)
	above := min(below+1, len(ordered)-1)
	return ordered[below] + (place-float64(below))*(ordered[above]-ordered[below])
}
