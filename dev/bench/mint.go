package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"
)

// What a request may cost more than bare Caddy where its token is minted: signatures,
// as they cost in Caddy, and microseconds for all else.
const (
	mintSignatures = 1.3
	mintRest       = 15.0
)

// mintVerdict compares in microseconds, with signatures of this very machine. What one
// costs in a loop, and what would be allowed by that, stands beside it.
func (r *result) mintVerdict() string {
	looped, err := signatureCost()
	if err != nil {
		return err.Error()
	}
	signature := quantile(r.signature, 0.5)
	more, goal := quantile(r.ours, 0.5)-quantile(r.bare, 0.5), mintSignatures*signature+mintRest
	word := "within"
	if more > goal {
		word = "misses"
	}
	return fmt.Sprintf("%.1f µs more: %s %.1f (a signature: %.1f; in a loop %.1f, by which %.1f)",
		more, word, goal, signature, looped, mintSignatures*looped+mintRest)
}

// signatureCost is the median of an ES256 signature by Go itself in a loop, in
// microseconds.
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
