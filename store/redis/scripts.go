package redis

import (
	_ "embed" // the scripts
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/caddy-gatehouse/gatehouse/store"
)

//go:embed common.lua
var commonText string

//go:embed append.lua
var appendText string

//go:embed read.lua
var readText string

//go:embed sweep.lua
var sweepText string

//go:embed take.lua
var takeText string

// takeScript counts an event, at once and alone.
var takeScript = redis.NewScript(takeText)

// The scripts of a log: what one of them does, it does at once and alone.
var (
	appendScript = redis.NewScript(commonText + appendText)
	readScript   = redis.NewScript(commonText + readText)
	sweepScript  = redis.NewScript(commonText + sweepText)
)

// logKeys are the names of a log's parts. In a Cluster what stands in braces decides
// where a name lives, so they live together.
func (s *Store) logKeys(log store.Purpose) []string {
	base := fmt.Sprintf("%s{%s:%s}:", s.config.Prefix, kindLog, log)
	return []string{base + "stream", base + "epoch", base + "ends", base + "ids"}
}
