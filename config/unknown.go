package config

import (
	"fmt"
	"slices"
	"strings"
)

// unknown says that a word is none of the known ones, which it lists, and
// guesses which was meant.
func unknown(kind, word string, known []string) error {
	known = slices.Sorted(slices.Values(known))
	switch guess := closest(word, known); {
	case len(known) == 0:
		return fmt.Errorf("unknown %s %q: none is declared", kind, word)
	case guess != "":
		return fmt.Errorf("unknown %s %q: did you mean %s? Known: %s", kind, word, guess, strings.Join(known, ", "))
	default:
		return fmt.Errorf("unknown %s %q: known: %s", kind, word, strings.Join(known, ", "))
	}
}

// closest returns the word at most two edits away, "" if none is. A short word
// must be closer, else anything would resemble it.
func closest(word string, known []string) string {
	best, limit := "", min(2, len(word)/2)
	for _, candidate := range known {
		if candidate != word && strings.EqualFold(candidate, word) {
			return candidate // hs256 is HS256, not ES256
		}
	}
	for _, candidate := range known {
		if abs(len(word)-len(candidate)) > limit {
			continue // also keeps a long word from costing anything
		}
		if n := edits(word, candidate); n <= limit && n > 0 {
			best, limit = candidate, n-1
		}
	}
	return best
}

func abs(n int) int { return max(n, -n) }

// edits counts the insertions, deletions, replacements and swaps of neighbours
// between two words.
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			n := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				n = min(n, rows[i-2][j-2]+1)
			}
			rows[i][j] = n
		}
	}
	return rows[len(a)][len(b)]
}
