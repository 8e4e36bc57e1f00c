package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// A place is that of an entry in a stream: milliseconds and a number.
type place struct{ milli, number uint64 }

func (p place) String() string { return fmt.Sprintf("%d-%d", p.milli, p.number) }

func (p place) after(other place) bool {
	return p.milli > other.milli || p.milli == other.milli && p.number > other.number
}

func parsePlace(text string) (place, bool) {
	milli, number, ok := strings.Cut(text, "-")
	if !ok {
		return place{}, false
	}
	m, err1 := strconv.ParseUint(milli, 10, 64)
	n, err2 := strconv.ParseUint(number, 10, 64)
	return place{m, n}, err1 == nil && err2 == nil
}

// lifeOf names the life of a log: of the server's run, which is empty where its access
// list hides it, and of what was made with the stream.
func lifeOf(run, epoch string) string {
	sum := sha256.Sum256([]byte(run + " " + epoch))
	return hex.EncodeToString(sum[:8])
}

func position(life string, at place) store.Position {
	return store.Position(life + "/" + at.String())
}

// parsePosition reads a position that position made.
func parsePosition(text store.Position) (life string, at place, ok bool) {
	life, rest, ok := strings.Cut(string(text), "/")
	if !ok {
		return "", place{}, false
	}
	at, ok = parsePlace(rest)
	return life, at, ok
}
