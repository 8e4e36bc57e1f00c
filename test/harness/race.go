//go:build race

package harness

// raceFlags build the gateway with the race detector where the tests have it.
var raceFlags = []string{"-race"}

const raceSuffix = "-race"
