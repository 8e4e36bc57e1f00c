package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
)

// The fields by which callers learn of limits (draft-ietf-httpapi-ratelimit-headers).
const (
	ratePolicyHeader = "Ratelimit-Policy"
	rateHeader       = "Ratelimit"
)

// policyField is the quota of a limit, and its window in seconds.
func policyField(rate store.Rate) string {
	return ";q=" + strconv.Itoa(rate.Events) + ";w=" + strconv.FormatInt(wholeSeconds(rate.Window), 10)
}

// announceLimit tells the caller what is left of a limit. Several limits of one route
// each have their place in the lists, under names of their own.
func announceLimit(header http.Header, policy string, taken store.Taken) {
	name := `"default"`
	if n := len(header[ratePolicyHeader]); n > 0 {
		name = `"default-` + strconv.Itoa(n+1) + `"`
	}
	wait := taken.ResetAfter
	if !taken.Allowed {
		wait = taken.RetryAfter // so that both fields speak of one instant
	}
	header[ratePolicyHeader] = append(header[ratePolicyHeader], name+policy)
	header[rateHeader] = append(header[rateHeader],
		name+";r="+strconv.Itoa(taken.Remaining)+";t="+strconv.FormatInt(wholeSeconds(wait), 10))
}

// wholeSeconds rounds up: whoever waits so long has waited long enough.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
