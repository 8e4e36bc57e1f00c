package authserver

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// shortestLife is what an answer says that must not be kept. A key set without
// a life cannot be used at all, so whoever keeps one has a floor of its own.
const shortestLife = time.Second

// lifetime reads how long an answer may be kept (RFC 9111, section 4.2.1): what
// Cache-Control says comes before Expires. It is 0 if the answer says nothing,
// and shortestLife if it says not to keep it, or is old already.
func lifetime(header http.Header, now time.Time) time.Duration {
	age, stated := maxAge(header)
	if !stated {
		return untilExpires(header, now)
	}
	// An answer out of a cache has used up a part of its life (section 5.1).
	if spent, ok := deltaSeconds(header.Get("Age")); ok {
		age -= spent
	}
	return max(age, shortestLife)
}

// maxAge reads Cache-Control (section 5.2.2). stated is false if it leaves the
// life of the answer open.
func maxAge(header http.Header) (age time.Duration, stated bool) {
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0, true
		case "max-age":
			if seconds, ok := deltaSeconds(value); ok && !stated {
				age, stated = seconds, true
			}
		}
	}
	return age, stated
}

func untilExpires(header http.Header, now time.Time) time.Duration {
	text := header.Get("Expires")
	if text == "" {
		return 0
	}
	expires, err := http.ParseTime(text)
	if err != nil {
		// "0" and its like mean that it has passed (section 5.3).
		return shortestLife
	}
	// The server's own clock is the one that its Expires was read from.
	if sent, err := http.ParseTime(header.Get("Date")); err == nil {
		now = sent
	}
	return max(expires.Sub(now), shortestLife)
}

func deltaSeconds(text string) (time.Duration, bool) {
	seconds, err := strconv.ParseInt(strings.Trim(text, `"`), 10, 32)
	if err != nil || seconds < 0 {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}
