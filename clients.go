package gatehouse

import (
	"crypto/sha256"
	"fmt"
	"iter"

	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/jose"
)

// guard returns the guard of a client's server, one for all of its clients.
func (a *App) guard(block *config.Client) (*authserver.Guard, error) {
	server := block.TokenEndpoint
	if block.Issuer != "" {
		server = a.issuerURLs([]string{block.Issuer})[0]
	}
	held := guards.Acquire(lease.KeyOf("guard", server), authserver.NewGuard, nil)
	a.releases = append(a.releases, held.Release)
	if a.watched[server] {
		return held.Value, nil
	}
	a.watched[server] = true
	a.observed.guards = append(a.observed.guards, observedGuard{server, held.Value})
	return held.Value, a.metrics.WatchBreakers(server, func() iter.Seq[metrics.Breaker] {
		return func(yield func(metrics.Breaker) bool) {
			for _, endpoint := range held.Value.Endpoints() {
				if !yield(metrics.Breaker{Endpoint: endpoint.URL, Open: endpoint.Open, Openings: endpoint.Openings}) {
					return
				}
			}
		}
	})
}

// clientAuth makes the proof of a client. Check has refused what does not go
// together.
func (a *App) clientAuth(block *config.Client) (authserver.ClientAuth, error) {
	secrets, err := a.secrets(block)
	if err != nil {
		return nil, err
	}
	switch block.AuthMethod() {
	case config.AuthPost:
		return authserver.Post(secrets...), nil
	case config.AuthSecretJWT:
		return authserver.SecretJWT(a.assertion(block), secrets...)
	case config.AuthPrivateKeyJWT:
		if block.KeyModuleRaw != nil {
			return a.keyModule(block)
		}
		key := authserver.KeyFile{Path: block.Key.File, Algorithm: jose.Algorithm(block.Key.Algorithm), ID: block.Key.ID}
		return authserver.PrivateKeyJWT(key, a.assertion(block))
	case config.AuthTLS:
		files := authserver.CertificateFiles{Certificate: block.Certificate.Certificate, Key: block.Certificate.Key}
		certificate, err := a.Certificate(files)
		if err != nil {
			return nil, err
		}
		return authserver.TLS(certificate), nil
	case config.AuthFederated:
		return authserver.Federated(block.AssertionFile, a.log)
	case config.AuthNone:
		return authserver.None(), nil
	default:
		return authserver.Basic(secrets...), nil
	}
}

// Certificate implements handlers.Services. All who name the same files see them
// change at the same time: what is bound by one is shown by the other.
func (a *App) Certificate(files authserver.CertificateFiles) (*authserver.Certificate, error) {
	if known := a.certificates[files]; known != nil {
		return known, nil
	}
	certificate, err := authserver.NewCertificate(files, a.log)
	if err == nil {
		a.certificates[files] = certificate
	}
	return certificate, err
}

// keyModule proves a client by the key of a module.
func (a *App) keyModule(block *config.Client) (authserver.ClientAuth, error) {
	loaded, err := a.ctx.LoadModule(block, "KeyModuleRaw")
	if err != nil {
		return nil, fmt.Errorf("key_module: %w", err)
	}
	source, ok := loaded.(config.KeyModule)
	if !ok {
		return nil, fmt.Errorf("key_module: a %T gives no signing key", loaded)
	}
	// Its options may hold a secret, such as a PIN: they tell it from others as a digest.
	name := fmt.Sprintf("%x", sha256.Sum256(block.KeyModuleRaw))
	return authserver.KeyAssertion(name, source, a.assertion(block))
}

// secrets are the client's secrets; those that lie in a file of their own are
// read again when it changes.
func (a *App) secrets(block *config.Client) ([]authserver.SecretSource, error) {
	sources := make([]authserver.SecretSource, len(block.Secrets))
	for i, secret := range block.Secrets {
		path := block.SecretFiles[i]
		if path == "" {
			sources[i] = authserver.NewSecret(secret.Reveal())
			continue
		}
		file, err := authserver.NewSecretFile(path, a.log)
		if err != nil {
			return nil, fmt.Errorf("secret: %w", err)
		}
		sources[i] = file
	}
	return sources, nil
}

func (a *App) assertion(block *config.Client) authserver.Assertion {
	shape := authserver.Assertion{Log: a.log}
	written := block.Assertion
	if written == nil {
		return shape
	}
	shape.Audience = authserver.AssertionAudience{Endpoint: written.ForEndpoint(), Value: written.Value()}
	shape.Type, shape.Life = written.Type, written.Lifetime.Or(config.DefaultAssertionLife)
	if written.Header != "" {
		shape.CertificateFile = block.Certificate.Certificate
	}
	return shape
}
