// Package webhook tells somebody's HTTP endpoint of events. Whoever has an event to
// tell never waits: there is a bounded queue, one delivery at a time, a few attempts,
// and what does not get through is dropped and logged.
package webhook
