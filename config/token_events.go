package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// The paths that token_events answers.
const (
	PathLogout  = "/backchannel-logout"
	PathSignals = "/shared-signals"
)

const (
	wordBackchannelLogout = "backchannel_logout"
	wordSharedSignals     = "shared_signals"
)

// TokenEvents says who may tell the gateway that tokens are no longer good. What they
// say is checked, and put on the list of revocations.
type TokenEvents struct {
	// The issuers that may log out, by name or URL: `POST /backchannel-logout` takes
	// their logout tokens (OpenID Connect Back-Channel Logout 1.0). Each needs an issuer
	// block, and a client block whose `client_id` the tokens are for. Default: none.
	BackchannelLogout []string `json:"backchannel_logout,omitempty"`

	// The transmitters that may push signals: `POST /shared-signals` takes their Security
	// Event Tokens (RFC 8935, OpenID Shared Signals Framework 1.0). Default: none.
	SharedSignals []SharedSignals `json:"shared_signals,omitempty"`

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// SharedSignals is one transmitter of signals. It speaks for tokens of its own issuer
// URL alone.
type SharedSignals struct {
	// The transmitter: the name of an issuer with one URL, or a URL. Its keys are found by
	// its metadata at `/.well-known/ssf-configuration`, unless its issuer block has
	// `jwks`. Required.
	Transmitter string `json:"transmitter,omitempty"`

	// The `aud` that the transmitter gives this stream, compared whole. Required.
	Audience string `json:"audience,omitempty"`
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	token_events [<matcher>] {
//		backchannel_logout <issuer...>
//		shared_signals     <transmitter> <audience>
//	}
//
// shared_signals may be written for each transmitter.
func (t *TokenEvents) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	return readBlock(d, "", t)
}

func (t *TokenEvents) options() []option {
	return []option{
		{word: "backchannel_logout", read: readList(&t.BackchannelLogout)},
		{word: "shared_signals", read: t.readSharedSignals, repeat: true},
	}
}

func (t *TokenEvents) readSharedSignals(d *caddyfile.Dispenser) error {
	var line SharedSignals
	if err := readOne(&line.Transmitter)(d); err != nil {
		return fmt.Errorf("%w: write shared_signals <transmitter> <audience>", err)
	}
	if err := readOne(&line.Audience)(d); err != nil {
		return fmt.Errorf("audience: %w: write shared_signals <transmitter> <audience>", err)
	}
	t.SharedSignals = append(t.SharedSignals, line)
	return nil
}

func (t *TokenEvents) settings() []setting {
	settings := list(wordBackchannelLogout, t.BackchannelLogout, checkRef)
	for n := range t.SharedSignals {
		settings = slices.Concat(settings,
			one(wordSharedSignals, &t.SharedSignals[n].Transmitter, checkRef),
			one(wordSharedSignals, &t.SharedSignals[n].Audience, checkStreamAudience),
		)
	}
	return settings
}

// checkStreamAudience accepts the aud of a stream. The word any opens doors elsewhere;
// here it would be a name that no transmitter writes.
func checkStreamAudience(text string) error {
	if text == anyAudience {
		return errors.New("audience: any is no audience of a stream: write the aud that the transmitter was given for it")
	}
	return checkText(text)
}

func (t *TokenEvents) contradiction() error {
	if err := checkOnce(wordBackchannelLogout, t.BackchannelLogout); err != nil {
		return err
	}
	transmitters := make([]string, len(t.SharedSignals))
	for n := range t.SharedSignals {
		transmitters[n] = t.SharedSignals[n].Transmitter
	}
	return checkOnce(wordSharedSignals, transmitters)
}

func (t *TokenEvents) missing() error {
	if len(t.BackchannelLogout) == 0 && len(t.SharedSignals) == 0 {
		return errors.New("nobody is listened to: write backchannel_logout <issuer...> or shared_signals <transmitter> <audience>")
	}
	for _, line := range t.SharedSignals {
		if line.Transmitter == "" || line.Audience == "" {
			return errors.New("shared_signals: a transmitter or its audience is missing: write shared_signals <transmitter> <audience>")
		}
	}
	return nil
}

// Label names the directive and its place, for messages.
func (t *TokenEvents) Label() string { return at("token_events", t.Place) }

// Expand replaces the placeholders in place, once, at load.
func (t *TokenEvents) Expand(repl *caddy.Replacer) error { return expandBlock(repl, t.Label(), t) }

// Check looks at the directive and the issuers that it names. It is called after
// Expand, with the app's checked configuration.
func (t *TokenEvents) Check(g *Gatehouse) error {
	if err := checkBlock(t.Label(), t); err != nil {
		return err
	}
	seen := make(map[string]string)
	for _, ref := range t.BackchannelLogout {
		err := t.checkProvider(g, ref)
		if err == nil {
			err = distinct(seen, ref, g.eventURLs(ref))
		}
		if err != nil {
			return fmt.Errorf("%s: backchannel_logout: %w", t.Label(), err)
		}
	}
	clear(seen)
	for _, line := range t.SharedSignals {
		err := t.checkTransmitter(g, line.Transmitter)
		if err == nil {
			err = distinct(seen, line.Transmitter, g.eventURLs(line.Transmitter))
		}
		if err != nil {
			return fmt.Errorf("%s: shared_signals: %w", t.Label(), err)
		}
	}
	return nil
}

// distinct refuses one issuer by two names.
func distinct(seen map[string]string, ref string, urls []string) error {
	for _, url := range urls {
		if other, twice := seen[url]; twice {
			return fmt.Errorf("%s and %s are one issuer: keep one of them", other, ref)
		}
		seen[url] = ref
	}
	return nil
}

// checkProvider wants an issuer whose logout tokens can be verified, and whom they are
// for.
func (t *TokenEvents) checkProvider(g *Gatehouse, ref string) error {
	if err := g.knownCaller(ref); err != nil {
		return err
	}
	name, issuer, ok := g.Issuer(ref)
	if !ok {
		return fmt.Errorf("no issuer block has the URL %s: write one, and a client with its client_id", ref)
	}
	if issuer.UsesSecrets() {
		return errSharedKeys(issuer.Label(name))
	}
	if len(g.ClientIDs(ref)) == 0 {
		return fmt.Errorf("%s has no client, so nobody knows the aud of its logout tokens: "+
			"write client <name> { issuer %s } with the client_id that it logs out", issuer.Label(name), ref)
	}
	return nil
}

// checkTransmitter wants an issuer with one URL, or a URL.
func (t *TokenEvents) checkTransmitter(g *Gatehouse, ref string) error {
	if err := g.knownCaller(ref); err != nil {
		return err
	}
	name, issuer, ok := g.Issuer(ref)
	switch {
	case !ok:
		return nil
	case issuer.UsesSecrets():
		return errSharedKeys(issuer.Label(name))
	case ref == name && len(issuer.URLs) > 1:
		return fmt.Errorf("%s has several URLs: name the transmitter by its URL", issuer.Label(name))
	}
	return nil
}

func errSharedKeys(label string) error {
	return fmt.Errorf("%s signs with a shared secret, which whoever verifies could sign with as well: only asymmetric algorithms are accepted here", label)
}

// eventURLs are the URLs that an issuer is named by.
func (g *Gatehouse) eventURLs(ref string) []string {
	if _, issuer, ok := g.Issuer(ref); ok && !isURL(ref) {
		return issuer.URLs
	}
	return []string{ref}
}

// ClientIDs are what the gateway is called at an issuer: the identifiers of the
// clients there.
func (g *Gatehouse) ClientIDs(ref string) []string {
	wanted, _, _ := g.Issuer(ref)
	var ids []string
	for _, name := range sorted(g.Clients) {
		client := g.Clients[name]
		if found, _, ok := g.Issuer(client.Issuer); ok && found == wanted && !slices.Contains(ids, client.ClientID) {
			ids = append(ids, client.ClientID)
		}
	}
	return ids
}
