package handlers

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/limit"
	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/proof"
	"github.com/caddy-gatehouse/gatehouse/revocation/signal"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/sts"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// appName is the Caddy app that implements Services.
const appName = "gatehouse"

// A Verifier says whether a token is good on one route; see introspection.Gate.
type Verifier interface {
	// Verify returns the token and its issuer, or an error that wraps a token.Reason
	// or the context's error.
	Verify(ctx context.Context, raw token.Raw) (*token.Token, *token.Issuer, error)
}

// Services is what the handlers need of the app. Everything but Settled and
// Watch is called while a configuration is provisioned.
type Services interface {
	Tokens
	Allowances
	Observers
	Watcher
	Settled

	// Config is the app's configuration, expanded and checked.
	Config() *config.Gatehouse
	// Verifier makes a verifier for one token_auth.
	Verifier(directive *config.TokenAuth) (Verifier, error)
	// Sender makes what checks that tokens are their presenters' own.
	Sender(directive *config.TokenAuth) (*proof.Sender, error)
	// Exchanger returns the exchanger for one token_exchange.
	Exchanger(directive *config.TokenExchange) (*exchange.Exchanger, error)
	// Certificate returns a client certificate in files, one for all who name them.
	Certificate(files authserver.CertificateFiles) (*authserver.Certificate, error)
}

// Settled is what is known once every handler is provisioned, and so is asked on
// requests.
type Settled interface {
	// TrustsMany tells whether the configuration trusts more than one issuer, so
	// that a subject alone names nobody.
	TrustsMany() bool
	// Known is what the directives of the configuration tell each other.
	Known() *Known
}

// Tokens is what the handlers need of the gateway as an issuer of its own, and as one
// who listens to others.
type Tokens interface {
	// Ring has the gateway's own keys; nil where the configuration has no `sign`.
	Ring() *signing.Ring
	// Receiver makes what takes the signals of one token_events.
	Receiver(directive *config.TokenEvents) (*signal.Receiver, error)
	// TokenService makes what decides at one token_service.
	TokenService(directive *config.TokenService) (*sts.Service, error)
	// Unready are the reasons why the node should get no requests, none if it is ready.
	// It asks nobody, and is called on each request that asks.
	Unready() []string
}

// Allowances are what handlers have in common that say what callers may do.
type Allowances interface {
	// PolicyRules are the rules of a named policy, those of the policies it uses
	// included. The names in the configuration are checked.
	PolicyRules(name string) []policy.Rule
	// Limit returns what counts for one rule of a token_limit: one count for all who
	// write the same.
	Limit(rule limit.Rule) *limit.Limit
}

// Observers are where the handlers tell what they do.
type Observers interface {
	// Metrics counts.
	Metrics() *metrics.Metrics
	// Trail is the audit trail.
	Trail() *audit.Trail
	// Log is the logger for operators.
	Log() *slog.Logger
}

// services returns the app of a configuration, loading it if no global option
// did.
func services(ctx caddy.Context) (Services, error) {
	app, err := ctx.App(appName)
	if err != nil {
		return nil, err
	}
	found, ok := app.(Services)
	if !ok {
		return nil, fmt.Errorf("app %s is a %T, not Gatehouse's", appName, app)
	}
	return found, nil
}

// directive is what every directive's configuration can do; see package config.
type directive interface {
	Expand(repl *caddy.Replacer) error
	Check(global *config.Gatehouse) error
}

// prepare loads the app, fills the directive's placeholders and checks it
// against the global block. Every handler's Provision begins so.
func prepare(ctx caddy.Context, d directive) (Services, error) {
	app, err := services(ctx)
	if err != nil {
		return nil, err
	}
	if err := d.Expand(caddy.NewReplacer()); err != nil {
		return nil, err
	}
	return app, d.Check(app.Config())
}
