package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/exchange"
)

// A ScopePair is what to ask for instead of a scope that the caller holds.
type ScopePair struct {
	// The scope as callers hold it. `scope` must name it.
	Held string `json:"held,omitempty"`

	// The scope to ask for.
	Asked string `json:"asked,omitempty"`
}

// A Param is one more field of the form.
type Param struct {
	// The field's name.
	Name string `json:"name,omitempty"`

	// The field's value.
	Value string `json:"value,omitempty"`
}

// Actor says who acts for the caller (RFC 8693, section 1.1).
type Actor struct {
	// Whether nobody is named. It is the default but for grant `local`, whose tokens
	// then do not say that the gateway made use of the caller's (impersonation).
	// Default: false.
	None bool `json:"none,omitempty"`

	// Whether the client itself acts, by an access token that it gets from the same
	// server by client_credentials; for grant `local` the gateway, by its own
	// identifier. Default: false, for `local` true.
	Self bool `json:"self,omitempty"`

	// A file with a token of the gateway's, such as a workload identity, read again
	// when it changes. Default: none.
	File string `json:"file,omitempty"`

	// What the file holds: `access_token`, `id_token`, `jwt` or an absolute URI.
	// Default: `jwt`.
	Type string `json:"type,omitempty"`
}

func (e *Exchange) readActor(d *caddyfile.Dispenser) error {
	var kind string
	if err := readOne(&kind)(d); err != nil {
		return fmt.Errorf("%w: write actor none, actor self or actor file <path> [<type>]", err)
	}
	switch kind {
	case "none":
		e.Actor = &Actor{None: true}
		return nil
	case "self":
		e.Actor = &Actor{Self: true}
		return nil
	case "file":
		e.Actor = new(Actor)
		if err := readOne(&e.Actor.File)(d); err != nil {
			return fmt.Errorf("%w: write actor file <path> [<type>]", err)
		}
		if d.CountRemainingArgs() == 0 {
			return nil
		}
		return readOne(&e.Actor.Type)(d)
	default:
		return unknown("actor", kind, []string{"none", "self", "file"})
	}
}

func (a *Actor) settings() []setting {
	if a == nil {
		return nil
	}
	return slices.Concat(one("actor", &a.File, checkText), one("actor", &a.Type, checkTokenKind))
}

func (a *Actor) contradiction() error {
	switch {
	case a == nil:
		return nil
	case !a.onlyOne():
		return errors.New("actor: one of none, self and a file: write one of them")
	case a.File == "" && a.Type != "":
		return errors.New("actor: the type is that of a file: leave it out")
	}
	return nil
}

// onlyOne tells whether exactly one kind of actor is written.
func (a *Actor) onlyOne() bool {
	kinds := 0
	for _, written := range []bool{a.None, a.Self, a.File != ""} {
		if written {
			kinds++
		}
	}
	return kinds == 1
}

func (e *Exchange) readScopeMap(d *caddyfile.Dispenser) error {
	var pair ScopePair
	for _, to := range []*string{&pair.Held, &pair.Asked} {
		if err := readOne(to)(d); err != nil {
			return fmt.Errorf("%w: write scope_map <held> <asked>", err)
		}
	}
	e.ScopeMap = append(e.ScopeMap, pair)
	return nil
}

func (e *Exchange) scopeMapSettings() []setting {
	settings := make([]setting, 0, 2*len(e.ScopeMap)) //nolint:mnd // both of a pair
	for i := range e.ScopeMap {
		settings = append(settings,
			setting{word: "scope_map", text: &e.ScopeMap[i].Held, check: checkScope},
			setting{word: "scope_map", text: &e.ScopeMap[i].Asked, check: checkScope})
	}
	return settings
}

func (e *Exchange) readParam(d *caddyfile.Dispenser) error {
	var param Param
	for _, to := range []*string{&param.Name, &param.Value} {
		if err := readOne(to)(d); err != nil {
			return fmt.Errorf("%w: write param <name> <value>", err)
		}
	}
	e.Params = append(e.Params, param)
	return nil
}

// paramSettings hide values: a server may want a secret there.
func (e *Exchange) paramSettings() []setting {
	settings := make([]setting, 0, 2*len(e.Params)) //nolint:mnd // name and value
	for i := range e.Params {
		settings = append(settings,
			setting{word: "param", text: &e.Params[i].Name, check: checkText},
			setting{word: "param", text: &e.Params[i].Value, check: checkText, secret: true})
	}
	return settings
}

func (e *Exchange) readThen(d *caddyfile.Dispenser) error {
	if !opensBlock(d) {
		return errors.New("it needs a block in braces with the words of an exchange")
	}
	e.Then = new(Exchange)
	return readBlock(d, "then", &thenBlock{e.Then})
}

// A thenBlock is a leg while it is read: besides the contradictions of an exchange
// it has those of its place.
type thenBlock struct{ *Exchange }

func (t *thenBlock) contradiction() error { return t.legContradiction() }

// contradiction finds what cannot stand together in one request, and in those that
// follow.
func (e *Exchange) contradiction() error {
	if err := e.grantContradiction(); err != nil {
		return err
	}
	switch {
	case len(e.Scope) > 0 && len(e.ScopeExact) > 0:
		return errors.New("scope and scope_exact exclude each other: scope is what the caller may have at most, scope_exact is asked for in any case")
	case len(e.ScopeMap) > 0 && len(e.ScopeExact) > 0:
		return errors.New("scope_map and scope_exact exclude each other: write the names that the server knows in scope_exact")
	case e.Anonymous && len(e.Scope) > 0:
		return errors.New("anonymous and scope exclude each other: a caller without a token holds no scope, so write scope_exact")
	case e.CacheEntries == off && e.MaxTTL != "":
		return errors.New("max_ttl and cache_entries off exclude each other: no token is used again")
	}
	for _, part := range []interface{ contradiction() error }{e.Actor, e.accept(), bindWritten{e}} {
		if err := part.contradiction(); err != nil {
			return err
		}
	}
	if e.Then != nil {
		if err := e.Then.legContradiction(); err != nil {
			return fmt.Errorf("then: %w", err)
		}
	}
	return nil
}

// accept returns what is accepted, empty for the usual.
func (e *Exchange) accept() *Accept {
	if e.Accept == nil {
		return new(Accept)
	}
	return e.Accept
}

// grantContradiction refuses words that belong to another grant, whose field the
// request would not have.
func (e *Exchange) grantContradiction() error {
	if err := e.localContradiction(); err != nil || e.IsLocal() {
		return err
	}
	grant := e.GrantType()
	if grant != GrantTokenExchange {
		if word := firstWritten(
			wordWritten{"subject_type", e.SubjectType != ""}, wordWritten{"actor", e.Actor != nil && !e.Actor.None},
			wordWritten{"requested_type", e.RequestedType != ""}, wordWritten{"accept: issued_type", len(e.accept().IssuedType) > 0},
		); word != "" {
			return fmt.Errorf("%s needs grant token_exchange: a request with grant %s has no such field", word, grant)
		}
	}
	switch {
	case grant == GrantClientCredentials && len(e.SubjectIssuer) > 0:
		return errors.New("subject_issuer and grant client_credentials exclude each other: nothing of the caller is sent")
	case grant != GrantClientCredentials && e.Anonymous && e.Grant != "":
		return errAnonymous
	}
	for _, param := range e.Params {
		if exchange.ReservedParam(exchange.Grant(grant), param.Name) {
			return fmt.Errorf("param: %s is a field that the exchange or the client writes itself", param.Name)
		}
	}
	return nil
}

var errAnonymous = errors.New("anonymous needs grant client_credentials or local: a caller without a token has nothing to exchange")

// A wordWritten tells whether an option is written.
type wordWritten struct {
	word    string
	written bool
}

func firstWritten(words ...wordWritten) string {
	for _, word := range words {
		if word.written {
			return word.word
		}
	}
	return ""
}

// legContradiction refuses in then what is said once, for the whole exchange.
func (e *Exchange) legContradiction() error {
	if word := firstWritten(
		wordWritten{"subject_issuer", len(e.SubjectIssuer) > 0}, wordWritten{"max_ttl", e.MaxTTL != ""},
		wordWritten{"cache_entries", e.CacheEntries != ""}, wordWritten{"inject", e.Inject != nil},
		wordWritten{"anonymous", e.Anonymous}, wordWritten{"bind", e.Bind != nil},
	); word != "" {
		return fmt.Errorf("%s belongs to the whole exchange: write it outside of then", word)
	}
	if e.Grant == GrantClientCredentials || e.Grant == GrantLocal {
		return fmt.Errorf("grant %s takes no token, so what comes before then would be in vain", e.Grant)
	}
	return e.contradiction()
}

// missingScopes finds a scope_map that never comes to pass, and a verification
// that has no audience to look for. Both are known when the block ends.
func (e *Exchange) missingScopes() error {
	for _, pair := range e.ScopeMap {
		switch {
		case pair.Held == "" || pair.Asked == "":
			return errors.New("scope_map: a name is missing: write scope_map <held> <asked>")
		case !slices.Contains(e.Scope, pair.Held):
			return fmt.Errorf("scope_map: scope does not name %s: add it there", pair.Held)
		}
	}
	for _, param := range e.Params {
		if param.Name == "" || param.Value == "" {
			return errors.New("param: name or value is missing: write param <name> <value>")
		}
	}
	if e.accept().Verify != "" && len(e.Audience)+len(e.Resource) == 0 {
		return errors.New("accept: verify needs an audience or a resource to look for in the token: write one")
	}
	return nil
}

// within names the settings of an inner block.
func within(word string, settings []setting) []setting {
	for i := range settings {
		settings[i].word = word + ": " + settings[i].word
	}
	return settings
}
