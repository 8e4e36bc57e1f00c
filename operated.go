package gatehouse

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/signing"
)

// Trusted implements admin.Operated: those whose tokens are accepted somewhere, and
// the gateway itself.
func (a *App) Trusted() admin.Issuers {
	var all admin.Issuers
	for _, url := range slices.Sorted(maps.Keys(a.issuers)) {
		trusted := a.issuers[url].trusted
		name, _, _ := a.Issuer(url)
		asked, opaque := a.introspected[url]
		known := admin.Issuer{
			Name: name, URL: url, MaxAge: trusted.MaxAge, Leeway: trusted.Leeway,
			Opaque: opaque, Encrypted: trusted.Decrypter != nil, Decrypter: trusted.Decrypter,
		}
		if opaque {
			known.Prefixes = asked.block.Prefix
		}
		all = append(all, known)
	}
	if a.Sign != nil && a.issuers[a.Sign.Issuer] == nil {
		all = append(all, admin.Issuer{URL: a.Sign.Issuer, Leeway: config.DefaultLeeway})
	}
	return all
}

// maxAge is how long after iat a token, or what the gateway minted of it, can be good
// at most, where the age of tokens is bounded: one that is nearly too old still gets a
// minted one, of a life of its own.
func (a *App) maxAge(bound time.Duration) time.Duration {
	if bound <= 0 || a.Sign == nil {
		return bound
	}
	return bound + admin.DerivedLife
}

// Unready implements admin.Operated and handlers.Services. It asks nobody: balancers
// look often, and what is known is at most a second old.
func (a *App) Unready() []string {
	var reasons []string
	if caddy.Exiting() {
		reasons = append(reasons, admin.ReasonExiting)
	}
	for _, url := range slices.Sorted(maps.Keys(a.issuers)) {
		// Whose tokens are asked about may have no keys at all.
		if _, asked := a.introspected[url]; !asked && !a.issuers[url].source.Loaded() {
			reasons = append(reasons, "the keys of issuer "+url+" have not come yet")
		}
	}
	if a.ring != nil {
		if _, err := a.ring.Signer(signing.AccessTokens); err != nil {
			reasons = append(reasons, "there is no key to sign with")
		}
	}
	return append(reasons, a.listUnready(time.Now())...)
}

// listUnready tells what the list of revocations lacks. A bound that lets tokens pass
// is no reason: no node would be ready while the store is away, and none serve what
// the operator wants served.
func (a *App) listUnready(now time.Time) []string {
	status, bound := a.revoked.Status(), a.bound()
	switch {
	case !status.Loaded:
		return []string{"the list of revocations has not been read yet"}
	case !bound.Open && now.Sub(status.Contact) > bound.MaxStaleness:
		return []string{fmt.Sprintf("the store was last read %s ago, and max_staleness is %s",
			now.Sub(status.Contact).Round(time.Second), bound.MaxStaleness)}
	}
	return nil
}
