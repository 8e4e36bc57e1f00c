package devidp

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-gatehouse/gatehouse/dev/devidp/provider"
)

func init() {
	caddy.RegisterModule(DevIDP{})
	httpcaddyfile.RegisterHandlerDirective("dev_idp", parseCaddyfile)
	httpcaddyfile.RegisterDirectiveOrder("dev_idp", httpcaddyfile.Before, "abort")
}

// DevIDP is an OpenID provider for development, on loopback only. Requests for
// other paths than its own go on to the next handler.
//
// Its keys, sign-ins, revocations, faults and counters outlive a configuration
// reload as long as issuer and algorithm stay the same.
type DevIDP struct {
	// The issuer URL, on a loopback host. Required.
	Issuer string `json:"issuer,omitempty"`
	// People who can sign in at the login page. Passwords may use {env.*} and
	// {file.*}.
	Users []provider.User `json:"users,omitempty"`
	// Applications that ask for tokens. Secrets may use {env.*} and {file.*}.
	Clients []provider.Client `json:"clients,omitempty"`
	// How long tokens live. Default: 5m.
	TokenLifetime caddy.Duration `json:"token_lifetime,omitempty"`
	// The signature algorithm: ES256, RS256 or EdDSA. Default: ES256.
	Algorithm string `json:"algorithm,omitempty"`
	// The token that guards the endpoints under /dev. May use {env.*} and
	// {file.*}. Default: a random one, printed on standard error at the start.
	FaultsToken string `json:"faults_token,omitempty"`

	provider *provider.Provider
	lease    lease
}

// CaddyModule returns the Caddy module information.
func (DevIDP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.dev_idp", New: func() caddy.Module { return new(DevIDP) }}
}

// Provision checks the listener and the settings and takes hold of the state. It
// makes no key and prints nothing: caddy validate runs it too.
func (d *DevIDP) Provision(ctx caddy.Context) error {
	if err := requireLoopbackListeners(ctx); err != nil {
		return err
	}
	settings, err := d.settings()
	if err != nil {
		return err
	}
	if err := settings.Validate(); err != nil {
		return err
	}
	d.provider, err = provider.New(settings, d.lease.acquire(settings))
	if err != nil {
		return err
	}
	return d.announceAtStart(ctx)
}

// settings expands the placeholders of secrets. An unknown one is an error, or a
// misspelled variable would become a password.
func (d *DevIDP) settings() (provider.Settings, error) {
	settings := provider.Settings{
		Issuer: d.Issuer, TokenLifetime: time.Duration(d.TokenLifetime), Algorithm: d.Algorithm,
	}
	replacer := caddy.NewReplacer()
	var err error
	if settings.FaultsToken, err = replacer.ReplaceOrErr(d.FaultsToken, true, true); err != nil {
		return settings, fmt.Errorf("dev_idp: faults_token: %w", err)
	}
	for _, user := range d.Users {
		if user.Password, err = replacer.ReplaceOrErr(user.Password, true, true); err != nil {
			return settings, fmt.Errorf("dev_idp: user %s: %w", user.Name, err)
		}
		settings.Users = append(settings.Users, user)
	}
	for _, client := range d.Clients {
		if client.Secret, err = replacer.ReplaceOrErr(client.Secret, true, true); err != nil {
			return settings, fmt.Errorf("dev_idp: client %s: %w", client.ID, err)
		}
		settings.Clients = append(settings.Clients, client)
	}
	return settings, nil
}

// announceAtStart prints the random faults token once Caddy runs: not in
// Provision, which also runs for configurations that never start.
func (d *DevIDP) announceAtStart(ctx caddy.Context) error {
	app, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("dev_idp: getting the events app: %w", err)
	}
	events, ok := app.(*caddyevents.App)
	if !ok {
		return fmt.Errorf("dev_idp: unexpected events app %T", app)
	}
	return events.On("started", announcer{d})
}

// announcer is the subscriber of Caddy's own event "started".
type announcer struct{ d *DevIDP }

// Handle implements caddyevents.Handler. It writes to standard error rather than
// to a log, because logs are kept and shipped, and this is a secret.
func (a announcer) Handle(context.Context, caddy.Event) error {
	a.d.provider.Announce(func(token string) {
		fmt.Fprintf(os.Stderr, "dev_idp %s faults token: %s\n", a.d.Issuer, token)
	})
	return nil
}

// Cleanup lets go of the state, if Provision got that far.
func (d *DevIDP) Cleanup() error { return d.lease.release() }

// ServeHTTP answers the provider's own paths and passes on every other.
func (d *DevIDP) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if !fromLoopback(r) {
		http.Error(w, "dev_idp answers on loopback names and addresses only", http.StatusForbidden)
		return nil
	}
	if d.provider.Handle(w, r) {
		return nil
	}
	return next.ServeHTTP(w, r)
}

var (
	_ caddy.Module                = (*DevIDP)(nil)
	_ caddy.Provisioner           = (*DevIDP)(nil)
	_ caddy.CleanerUpper          = (*DevIDP)(nil)
	_ caddyhttp.MiddlewareHandler = (*DevIDP)(nil)
	_ caddyevents.Handler         = announcer{}
)
