package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/introspection"
	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// introspections outlive configurations; see lease.Pool. A state is keyed by
// whom it asks, so there is one for all of a configuration: answers of different
// issuers and clients have different keys in it.
var introspections = lease.NewPool[*introspection.State]()

// An introspected issuer is one that is asked about its tokens.
type introspected struct {
	*introspection.Introspector

	block *config.Introspection
}

// provisionIntrospections makes an introspector for every issuer that has the
// block. It needs the clients.
func (a *App) provisionIntrospections() error {
	for name, block := range a.Issuers {
		if block.Introspection == nil {
			continue
		}
		if err := a.addIntrospection(block); err != nil {
			return fmt.Errorf("%s: introspection: %w", at("issuer "+name, block.Place), err)
		}
	}
	return nil
}

func (a *App) addIntrospection(block *config.Issuer) error {
	known := a.issuers[block.URLs[0]]
	held := introspections.Acquire(lease.KeyOf("introspection"), func() *introspection.State {
		return introspection.NewState(introspection.DefaultCacheEntries, introspection.DefaultCacheBytes)
	}, (*introspection.State).Close)
	a.releases = append(a.releases, held.Release)
	a.derived.answers(held.Value)
	introspector, err := introspection.New(introspection.Config{
		Issuer: known.trusted.URL, Client: a.clients[block.Introspection.Client], Endpoint: block.Introspection.URL,
		Keys: known.source, Algorithms: known.trusted.Algorithms, Claims: known.trusted.Claims,
		State: held.Value, CacheTTL: block.Introspection.CacheTTL.Or(config.DefaultIntrospectionTTL),
		Observe: a.metrics.Introspecting(known.trusted.URL, introspectionOutcome),
	})
	if err != nil {
		return err
	}
	a.introspected[known.trusted.URL] = introspected{Introspector: introspector, block: block.Introspection}
	return nil
}

// introspectionOutcome names what an issuer said: a label of metrics.
func introspectionOutcome(err error) string {
	switch {
	case err == nil:
		return "active"
	case !errors.Is(err, token.IntrospectionUnavailable):
		return "inactive"
	default:
		return "unavailable"
	}
}

// gate joins a route's verifier with the introspectors of its issuers.
func (a *App) gate(verifier *token.Verifier, urls []string) (*introspection.Gate, error) {
	var routes []introspection.Route
	var always []*introspection.Introspector
	for _, url := range urls {
		asked, ok := a.introspected[url]
		if !ok {
			continue
		}
		routes = append(routes, introspection.Route{Prefixes: asked.block.Prefix, Introspector: asked.Introspector})
		if asked.block.Always {
			always = append(always, asked.Introspector)
		}
	}
	if len(routes) == 0 {
		return introspection.NewGate(verifier, nil), nil
	}
	router, err := introspection.NewRouter(routes...)
	if err != nil {
		return nil, err
	}
	return introspection.NewGate(verifier, router, always...), nil
}

// decrypter reads the keys that open an issuer's encrypted tokens, nil if it has
// none. The tenants of one block share it.
func (a *App) decrypter(block *config.Issuer) (token.Decrypter, error) {
	if len(block.Decrypt) == 0 {
		return nil, nil //nolint:nilnil // no keys, no decrypter
	}
	if known := a.decrypters[block]; known != nil {
		return known, nil
	}
	made, err := readDecrypter(block.Decrypt)
	if err != nil {
		return nil, err
	}
	a.decrypters[block] = made
	return made, nil
}

func readDecrypter(lines []config.Decrypt) (*jose.Decrypter, error) {
	found := make([]*jose.DecryptionKey, 0, len(lines))
	for _, line := range lines {
		content, err := os.ReadFile(line.Key)
		if err != nil {
			return nil, fmt.Errorf("decrypt: %w", err)
		}
		ways := make([]jose.KeyManagement, 0, len(line.Algorithms))
		for _, name := range line.Algorithms {
			ways = append(ways, jose.KeyManagement(name))
		}
		key, err := jose.ParseDecryptionKey(content, ways...)
		if err != nil {
			return nil, fmt.Errorf("decrypt %s: %w", line.Key, err)
		}
		found = append(found, key)
	}
	made, err := jose.NewDecrypter(found...)
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	return made, nil
}

// A subjectChecker asks the issuer of a caller's token about it, if that issuer
// can be asked.
type subjectChecker struct{ app *App }

var errNotAsked = errors.New("the issuer has no introspection")

// Active implements exchange.SubjectChecker.
func (c subjectChecker) Active(ctx context.Context, issuer string, raw token.Raw) (bool, error) {
	asked, ok := c.app.introspected[issuer]
	if !ok {
		return false, errNotAsked
	}
	_, err := asked.Introspect(ctx, raw, nil)
	if errors.Is(err, token.Inactive) {
		return false, nil
	}
	return err == nil, err
}
