package token

import "time"

// A passed entry is a remembered token that has passed every check of one verifier. None of
// them can change its mind but by the time, by the issuer's keys and by its status lists:
// token, issuer and verifier are immutable.
type passed struct {
	*verified

	issuer *Issuer
	// from is when it passed: a clock that was set back may find nbf or iat in the future.
	// until is when the first check that depends on the time will refuse it, or a day later.
	// Both in nanoseconds since 1970.
	from, until int64
}

// recall returns what has passed here, nil where it has to be checked.
func (v *Verifier) recall(digest *Digest, now int64) *passed {
	if v.passed == nil {
		return nil
	}
	known := v.passed.At(digest).Load()
	switch {
	case known == nil || known.token.Digest != *digest || known.gone.Load():
		return nil
	case now < known.from || now >= known.until || !known.issuer.Keys.Holds(known.key):
		return nil
	case known.uses.Seldom():
		return nil
	}
	v.cache.counts.Straight()
	return known
}

// note remembers that a token has passed. One that came encrypted is checked each time:
// whether its keys may still open it is not for good.
func (v *Verifier) note(entry *verified, issuer *Issuer, now time.Time) {
	if entry.opener != "" {
		return
	}
	slot := v.passed.At(&entry.token.Digest)
	switch known := slot.Load(); {
	case known == nil || known.gone.Load():
	case known.verified == entry && known.from <= now.UnixNano() && now.UnixNano() < known.until:
		return
	case known.verified != entry && !entry.uses.Seldom():
		return // with many callers each request would write here, and find nothing
	}
	slot.Store(&passed{
		verified: entry, issuer: issuer, from: now.UnixNano(), until: Within(now, endOf(entry.token, issuer)).UnixNano(),
	})
}

// endOf is when the time alone makes checks refuse a token: checkExpiry and checkAge.
func endOf(t *Token, issuer *Issuer) time.Time {
	until := t.Expiry.Add(issuer.Leeway)
	if aged := t.IssuedAt.Add(issuer.MaxAge + issuer.Leeway); issuer.MaxAge > 0 && aged.Before(until) {
		return aged
	}
	return until
}
