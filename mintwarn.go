package gatehouse

import (
	"slices"

	"github.com/caddy-gatehouse/gatehouse/config"
)

// An audience is one that an exchange asks for, or that the front door accepts.
type audience struct{ value, owner, place string }

// audiences are those that the configuration speaks of. They are gathered as its
// parts are provisioned, in whatever order Caddy does it.
type audiences struct{ asked, accepted []audience }

// asks notes what the upstream's token of an exchange is for.
func (a *App) asks(owner string, block *config.Exchange) {
	legs := block.Legs()
	last := legs[len(legs)-1]
	for _, value := range slices.Concat(last.Audience, last.Resource) {
		asked := audience{value, owner, block.Place}
		a.audiences.asked = append(a.audiences.asked, asked)
		for _, accepted := range a.audiences.accepted {
			a.warnAudience(asked, accepted)
		}
	}
}

// accepts notes for which audiences callers' tokens may be.
func (a *App) accepts(owner, place string, values []string) {
	if config.AcceptsAnyAudience(values) {
		return // said out loud, and warned of as such
	}
	for _, value := range values {
		accepted := audience{value, owner, place}
		a.audiences.accepted = append(a.audiences.accepted, accepted)
		for _, asked := range a.audiences.asked {
			a.warnAudience(asked, accepted)
		}
	}
}

// warnAudience says at load that an upstream could come back with its token: what
// was made for one service alone would open every one behind the gateway.
func (a *App) warnAudience(asked, accepted audience) {
	if asked.value != accepted.value {
		return
	}
	a.log.Warn("an upstream's token is for an audience that the front door accepts: an upstream could use it as a caller",
		"exchange", asked.owner, "place", asked.place, "audience", asked.value,
		"accepted_by", accepted.owner, "accepted_at", accepted.place)
}
