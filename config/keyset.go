package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// keyWords finds contradictions among the words that say where an issuer's keys
// come from, and when.
func (i *Issuer) keyWords() error {
	if len(i.Fallback) > 0 && len(i.URLs) > 1 {
		return errors.New("fallback needs an issuer with one URL: give each URL a block with its own regions")
	}
	for n, url := range i.Fallback {
		if slices.Contains(i.URLs, url) || slices.Contains(i.Fallback[:n], url) {
			return fmt.Errorf("fallback: the URL %s is written twice", url)
		}
	}
	if word := i.renewalWord(); word != "" && i.keysInFile() {
		return fmt.Errorf("%s: the keys are in a file, which is read when the configuration is loaded and never renewed: leave it out", word)
	}
	if refresh, stale := i.JWKSRefresh.Or(0), i.JWKSMaxStale.Or(0); stale > 0 && refresh > stale {
		return fmt.Errorf("jwks_max_stale %s is shorter than jwks_refresh %s: keys would end before they are renewed",
			i.JWKSMaxStale, i.JWKSRefresh)
	}
	if i.Outbound && len(i.Audience) > 0 {
		return errors.New("outbound and audience exclude each other: no token of an outbound issuer is accepted")
	}
	return nil
}

// renewalWord is the first word about renewing keys that is written, "" if none
// is.
func (i *Issuer) renewalWord() string {
	switch {
	case i.JWKSRefresh != "":
		return "jwks_refresh"
	case i.JWKSMaxStale != "":
		return "jwks_max_stale"
	default:
		return ""
	}
}

// keysInFile tells whether jwks names a file. While it holds a placeholder nobody
// knows yet.
func (i *Issuer) keysInFile() bool {
	return i.JWKS != "" && !strings.Contains(i.JWKS, "://") && !strings.Contains(i.JWKS, "{")
}

// sharedKeys refuses two issuers whose keys are configured to come from one
// address: whoever signs for the one could sign for the other. Keys from a file
// are the operator's own, and what discovery finds is the issuers' own word:
// tenants of one provider may publish the same set.
func (g *Gatehouse) sharedKeys() error {
	owner := make(map[string]string)
	for _, name := range sorted(g.Issuers) {
		jwks := g.Issuers[name].JWKS
		if !strings.Contains(jwks, "://") { // a file
			continue
		}
		if other, taken := owner[jwks]; taken {
			return fmt.Errorf("%s and %s both have the keys of jwks %s: whoever signs for one could sign for the other; "+
				"give each its own keys, or leave jwks out where discovery finds them",
				g.Issuers[other].Label(other), g.Issuers[name].Label(name), jwks)
		}
		owner[jwks] = name
	}
	return nil
}

// trusted are the names of the issuers whose tokens may be accepted.
func (g *Gatehouse) trusted() []string {
	return slices.DeleteFunc(sorted(g.Issuers), func(name string) bool { return g.Issuers[name].Outbound })
}

// namesRoles tells whether any trusted issuer says where roles are. An inline
// issuer has no block to say it in.
func (g *Gatehouse) namesRoles() bool {
	return slices.ContainsFunc(g.trusted(), func(name string) bool {
		claims := g.Issuers[name].Claims
		return claims != nil && len(claims.Roles) > 0
	})
}

// knownCaller is known for an issuer whose tokens callers may have: one that is
// only called has none, so a rule that asks for it lets nobody pass.
func (g *Gatehouse) knownCaller(ref string) error {
	if name, issuer, ok := g.Issuer(ref); ok && issuer.Outbound {
		return fmt.Errorf("%s is outbound: no caller's token is accepted from it", issuer.Label(name))
	}
	return g.known(ref)
}

// checkSecond accepts a duration from one second on.
func checkSecond(text string) error {
	value, err := parseDuration(text)
	if err == nil && value < time.Second {
		err = fmt.Errorf("%s is too short: write at least 1s", text)
	}
	return err
}
