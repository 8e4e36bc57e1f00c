package gatehouse

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/handlers"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// provisionIssuers makes every issuer of the global block, each URL its own.
func (a *App) provisionIssuers() error {
	for name, block := range a.Issuers {
		if block.Outbound {
			continue // who calls it makes its server
		}
		a.accepts("issuer "+name, block.Place, block.Audience)
		prefix := name + "/"
		for _, url := range block.URLs {
			if len(block.URLs) > 1 {
				prefix = url + "#"
			}
			if err := a.addIssuer(url, prefix, block); err != nil {
				return fmt.Errorf("%s: %w", at("issuer "+name, block.Place), err)
			}
		}
	}
	return nil
}

// addIssuer makes one trusted issuer. The block of an inline issuer is empty.
func (a *App) addIssuer(url, userPrefix string, block *config.Issuer) error {
	source, err := a.keySource(url, block)
	if err != nil {
		return err
	}
	lists, err := a.statusLists(url, block, source)
	if err != nil {
		return err
	}
	opener, err := a.decrypter(block)
	if err != nil {
		return err
	}
	trusted := &token.Issuer{
		URL: url, UserPrefix: userPrefix, Keys: source,
		Audience:   accepted(block.Audience),
		Algorithms: block.AcceptedAlgorithms(),
		Types:      block.AcceptedTypes(),
		MaxAge:     block.MaxTokenAge.Or(0),
		Require:    block.RequireClaims,
		Claims:     block.ClaimPaths(),
		Leeway:     block.Leeway.Or(config.DefaultLeeway),
		Decrypter:  opener,
		Statuses:   lists,
		Asked:      block.Introspection != nil && block.Introspection.Always,
	}
	a.issuers[url] = &issuer{trusted: trusted, source: source, lists: lists}
	if err := a.distinguishes(); err != nil {
		return err
	}
	return errors.Join(a.metrics.WatchKeySet(url, source), a.metrics.WatchStatusLists(url, lists))
}

// keySource makes the source of an issuer's keys: a file that is read now, or a
// key set that is fetched later.
func (a *App) keySource(url string, block *config.Issuer) (*keys.Source, error) {
	if file := block.JWKS; file != "" && !isURL(file) {
		return a.fileKeys(url, file, block)
	}
	if a.ring != nil && url == a.Sign.Issuer && block.JWKS == "" {
		return a.ownKeys(url), nil
	}
	server, err := a.server(url, block)
	if err != nil {
		return nil, err
	}
	state := a.leaseKeys("fetched", url, block.JWKS, strings.Join(block.TrustCA, "\n"), strings.Join(block.Fallback, "\n"))
	timeout := block.FetchTimeout.Or(config.DefaultFetchTimeout)
	return keys.NewSource(keys.Config{
		Issuer: url, State: state, Fetcher: server, Log: a.log,
		// Metadata at two places, then the key set: three calls at most, everywhere.
		FetchTimeout: 3 * timeout * time.Duration(1+len(block.Fallback)),
		Refresh:      block.JWKSRefresh.Or(0),
		MaxStale:     block.JWKSMaxStale.Or(keys.DefaultMaxStale),
		Observe:      a.renewed,
		Refused:      func() { a.metrics.KeyLookupRefused(url) },
	}), nil
}

func isURL(text string) bool { return strings.Contains(text, "://") }

func (a *App) fileKeys(url, file string, block *config.Issuer) (*keys.Source, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("jwks: %w", err)
	}
	set, kind, err := parseKeys(content, block)
	if err != nil {
		return nil, fmt.Errorf("jwks %s: %w", file, err)
	}
	for _, dropped := range set.Dropped {
		a.log.Warn("leaving out a key", "issuer", url, "file", file, "index", dropped.Index, "reason", dropped.Reason)
	}
	return keys.NewStatic(url, a.leaseKeys(kind, url, string(content)), set), nil
}

// parseKeys reads a key file, and names how it was read: the same content read as
// secrets and as public keys is two key sets.
func parseKeys(content []byte, block *config.Issuer) (set jose.KeySet, kind string, err error) {
	isPEM := strings.HasPrefix(strings.TrimSpace(string(content)), "-----BEGIN")
	switch {
	case block.UsesSecrets() && isPEM:
		return set, "", errSecretPEM
	case block.UsesSecrets():
		set, err = jose.ParseSecrets(content, block.AcceptedAlgorithms())
		return set, "secrets " + strings.Join(block.Algorithms, " "), err
	case isPEM:
		set, err = jose.ParsePEM(content)
	default:
		set, err = jose.ParseKeySet(content)
	}
	return set, "file", err
}

// errSecretPEM refuses public keys where secrets belong: everybody could sign.
var errSecretPEM = errors.New("PEM holds public keys and certificates, and HMAC algorithms need secrets: write a JWK Set with oct keys")

func (a *App) leaseKeys(parts ...string) *keys.State {
	held := keyStates.Acquire(lease.KeyOf(parts...), keys.NewState, nil)
	a.releases = append(a.releases, held.Release)
	return held.Value
}

// server returns the authorization server of a URL, one for all who call it.
func (a *App) server(url string, block *config.Issuer) (*authserver.Server, error) {
	if server := a.servers[url]; server != nil {
		return server, nil
	}
	bundles, err := readBundles(block.TrustCA)
	if err != nil {
		return nil, err
	}
	server, err := authserver.NewServer(authserver.ServerOptions{
		Issuer: url, JWKS: keySetURL(block), Fallback: block.Fallback, TrustCA: bundles,
		Timeout: block.FetchTimeout.Or(config.DefaultFetchTimeout),
		Observe: a.failedOver(url),
	})
	if err != nil {
		return nil, err
	}
	a.servers[url] = server
	a.releases = append(a.releases, server.Close)
	return server, nil
}

// keySetURL is where the block says that the keys are, "" for a file.
func keySetURL(block *config.Issuer) string {
	if !isURL(block.JWKS) {
		return ""
	}
	return block.JWKS
}

// failedOver logs that one of an issuer's servers fails, or answers again.
func (a *App) failedOver(issuer string) func(server string, err error) {
	return func(server string, err error) {
		log := a.log.With("issuer", issuer, "server", server)
		if err != nil {
			log.Warn("server of an issuer fails", "error", err)
		} else {
			log.Info("server of an issuer answers again")
		}
	}
}

func readBundles(files []string) ([][]byte, error) {
	bundles, err := config.ReadBundles(files)
	if err != nil {
		return nil, fmt.Errorf("trust_ca: %w", err)
	}
	return bundles, nil
}

// TrustsMany implements handlers.Services.
func (a *App) TrustsMany() bool { return len(a.issuers) > 1 }

// errNoAudience is a fault of a token_auth that only the whole configuration
// shows.
var errNoAudience = errors.New("no audience is named for this issuer: write `audience <aud...>` in token_auth " +
	"or in the issuer block, or `audience any` to accept tokens for every API")

// accepted reads a list of audiences; the single word any is no audience.
func accepted(audience []string) token.Audience {
	if config.AcceptsAnyAudience(audience) {
		return token.Audience{Any: true}
	}
	return token.Audience{Values: audience}
}

// at names a block in a message.
func at(label, place string) string {
	if place == "" {
		return label
	}
	return label + " (" + place + ")"
}

// Verifier implements handlers.Services.
func (a *App) Verifier(directive *config.TokenAuth) (handlers.Verifier, error) {
	label := at("token_auth", directive.Place)
	audience := accepted(directive.Audience)
	a.accepts("token_auth", directive.Place, directive.Audience)
	var trusted []*token.Issuer
	for _, url := range a.issuerURLs(directive.Issuers) {
		if a.issuers[url] == nil {
			if err := a.addIssuer(url, url+"#", new(config.Issuer)); err != nil {
				return nil, fmt.Errorf("%s: issuer %s: %w", label, url, err)
			}
		}
		found := a.issuers[url].trusted
		if audience.IsZero() && found.Audience.IsZero() {
			return nil, fmt.Errorf("%s: issuer %s: %w", label, url, errNoAudience)
		}
		trusted = append(trusted, found)
	}
	verifier := token.NewVerifier(token.VerifierConfig{Issuers: trusted, Audience: audience, Bindings: true, Cache: a.cache.Value})
	urls := a.issuerURLs(directive.Issuers)
	gate, err := a.gate(verifier, urls)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", label, err)
	}
	a.doors = append(a.doors, admin.Door{Place: directive.Place, Issuers: urls, Gate: gate, Bound: requiredKinds(directive)})
	if gate.AsksNobody() {
		return a.guarded(verifier), nil
	}
	return a.guarded(gate), nil
}

// Doors implements admin.Gate.
func (a *App) Doors() []admin.Door { return a.doors }

// issuerURLs resolves the issuers that a token_auth names: none is the only one
// of the global block. Check has refused unknown names.
func (a *App) issuerURLs(refs []string) []string {
	if len(refs) == 0 {
		for _, block := range a.Issuers {
			if !block.Outbound {
				return block.URLs
			}
		}
	}
	var urls []string
	for _, ref := range refs {
		if name, block, ok := a.Issuer(ref); ok && ref == name {
			urls = append(urls, block.URLs...)
		} else {
			urls = append(urls, ref)
		}
	}
	return urls
}
