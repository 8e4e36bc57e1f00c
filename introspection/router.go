package introspection

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Route is an introspector and how the opaque tokens of its issuer begin.
type Route struct {
	Prefixes     []string
	Introspector *Introspector
}

// A Router says which issuer an opaque token belongs to. It never guesses: a
// token that is shown to a server that did not issue it is a token given away.
type Router struct{ routes []Route }

// NewRouter makes a router. A single route may do without prefixes: then every
// opaque token is its issuer's. Of several, each needs one, and none may begin
// another's, or which one was meant would hang on a character.
func NewRouter(routes ...Route) (*Router, error) {
	for i, route := range routes {
		if len(route.Prefixes) == 0 && len(routes) > 1 {
			return nil, fmt.Errorf("issuer %s: several issuers have introspection, so each needs prefix <text...>", route.Introspector.Issuer())
		}
		for _, prefix := range route.Prefixes {
			if prefix == "" {
				return nil, errors.New("a prefix is empty: every token begins so")
			}
			if other := clash(routes[i+1:], prefix); other != "" {
				return nil, fmt.Errorf("prefix %q of issuer %s and prefix %q of another issuer begin alike",
					prefix, route.Introspector.Issuer(), other)
			}
		}
	}
	return &Router{routes: routes}, nil
}

func clash(routes []Route, prefix string) string {
	for _, route := range routes {
		for _, other := range route.Prefixes {
			if strings.HasPrefix(other, prefix) || strings.HasPrefix(prefix, other) {
				return other
			}
		}
	}
	return ""
}

// Find returns the introspector of an opaque token's issuer, nil if it is of none.
func (r *Router) Find(raw token.Raw) *Introspector {
	found, _ := r.find(raw)
	return found
}

// find is Find, and tells by which prefix.
func (r *Router) find(raw token.Raw) (found *Introspector, by string) {
	text := raw.Reveal()
	for _, route := range r.routes {
		if len(route.Prefixes) == 0 {
			return route.Introspector, ""
		}
		for _, prefix := range route.Prefixes {
			if strings.HasPrefix(text, prefix) {
				return route.Introspector, prefix
			}
		}
	}
	return nil, ""
}
