package gatehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-gatehouse/gatehouse/admin"
	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/authserver"
	"github.com/caddy-gatehouse/gatehouse/config"
	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/handlers"
	"github.com/caddy-gatehouse/gatehouse/internal/lease"
	"github.com/caddy-gatehouse/gatehouse/internal/metrics"
	"github.com/caddy-gatehouse/gatehouse/keys"
	"github.com/caddy-gatehouse/gatehouse/limit"
	"github.com/caddy-gatehouse/gatehouse/policy"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/statuslist"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

func init() {
	caddy.RegisterModule((*App)(nil))
}

// App holds what the handlers share: the authorization servers that are trusted,
// the clients by which the gateway asks them for tokens, and the exchanges. Each
// is named once, for every site.
//
// Nothing is fetched before the app starts. While an issuer's keys are missing,
// its tokens are answered with 503, and the app goes on asking.
type App struct {
	config.Gatehouse

	ctx     caddy.Context // to load modules while it is provisioned
	log     *slog.Logger
	trail   *audit.Trail
	metrics *metrics.Metrics
	emitter *emitter

	cache     *lease.Lease[*token.Cache]
	issuers   map[string]*issuer // by URL
	servers   map[string]*authserver.Server
	clients   map[string]*authserver.Client
	watched   map[string]bool // servers whose breakers are published
	exchanges map[string]*exchange.Exchanger
	policies  map[string][]policy.Rule // compiled, by name
	ring      *signing.Ring            // nil without sign
	veil      *signing.Veil            // of what its tokens were derived from
	store     store.Store
	second    *exchange.SecondLevel // nil where the store is of this node alone
	revoked   *revocation.State
	lineage   *revocation.Lineage // nil where nothing is minted
	place     lease.Key           // where the log of revoked is
	limits    *limit.Shared       // nil where each node counts alone
	derived   derived             // what a revocation clears
	regions   []*keys.Source      // the keys of other regions
	// introspected and decrypters are by issuer URL and by issuer block.
	audiences    audiences // of exchanges and of the front door
	introspected map[string]introspected
	decrypters   map[*config.Issuer]token.Decrypter
	certificates map[authserver.CertificateFiles]*authserver.Certificate

	observed observed

	known   handlers.Known
	doors   []admin.Door   // the token_auths, as they were provisioned
	sources []*keys.Source // of keys of clients of token_service, and of transmitters

	transmitters map[string]*keys.Source // of token_events, by URL
	statuses     []*statuslist.Lists     // of all issuers, those of exchanges included

	releases []func()
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// An issuer is a trusted issuer, the source of its keys and its status lists.
type issuer struct {
	trusted *token.Issuer
	source  *keys.Source
	lists   *statuslist.Lists
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "gatehouse", New: func() caddy.Module { return new(App) }}
}

// Provision implements caddy.Provisioner. It writes nothing that another
// configuration could see, and asks no network.
func (a *App) Provision(ctx caddy.Context) (err error) {
	a.ctx = ctx
	a.issuers = make(map[string]*issuer)
	a.servers = make(map[string]*authserver.Server)
	a.clients = make(map[string]*authserver.Client)
	a.watched = make(map[string]bool)
	a.exchanges = make(map[string]*exchange.Exchanger)
	a.introspected = make(map[string]introspected)
	a.decrypters = make(map[*config.Issuer]token.Decrypter)
	a.certificates = make(map[authserver.CertificateFiles]*authserver.Certificate)
	a.transmitters = make(map[string]*keys.Source)
	core := ctx.Logger().Core()
	a.log = logger(core, "gatehouse")
	a.trail = audit.NewTrail(logger(core, "gatehouse.audit"))
	if err := a.Expand(caddy.NewReplacer()); err != nil {
		return err
	}
	if err := a.Check(); err != nil {
		return err
	}
	if a.metrics, err = metrics.New(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if a.emitter, err = newEmitter(ctx, a.log, a.metrics.EventDropped); err != nil {
		return err
	}
	a.leaseCache()
	if err := a.watchCaches(); err != nil {
		return err
	}
	if err := a.provisionStore(ctx); err != nil {
		return err
	}
	if err := a.provisionSecond(); err != nil {
		return err
	}
	a.provisionLimits()
	a.watchRevocations()
	if err := errors.Join(a.publishRevocations(), a.publishStore()); err != nil {
		return err
	}
	if err := a.provisionSigning(); err != nil {
		return err
	}
	if err := a.provisionIssuers(); err != nil {
		return err
	}
	if err := a.provisionPolicies(ctx); err != nil {
		return err
	}
	if err := a.provisionClients(); err != nil {
		return err
	}
	if err := a.provisionIntrospections(); err != nil {
		return err
	}
	return a.provisionExchanges()
}

// logger makes a logger of that name, which Caddy's log option can include and
// exclude. Stack traces stay out: what operators must know is in the message.
func logger(core zapcore.Core, name string) *slog.Logger {
	return slog.New(zapslog.NewHandler(core, zapslog.WithName(name), zapslog.AddStacktraceAt(slog.Level(127))))
}

// Start implements caddy.App. It begins to fetch keys, in the background: Caddy
// starts while an issuer is down, and an issuer may be served by this very
// Caddy.
func (a *App) Start() error {
	if err := a.checkRoutes(); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	a.stop = stop
	if err := a.startStore(ctx); err != nil {
		stop()
		return err
	}
	if err := a.startSigning(ctx); err != nil {
		stop() // Caddy stops only what has started
		return err
	}
	a.running.Go(func() { a.emitter.run(ctx) })
	for _, known := range a.issuers {
		a.running.Go(func() { known.source.Run(ctx) })
	}
	for _, source := range a.sources {
		a.running.Go(func() { source.Run(ctx) })
	}
	for _, lists := range a.statuses {
		a.running.Go(func() { lists.Run(ctx) })
	}
	return nil
}

// checkRoutes looks at the routes of the HTTP app: only now are all of them there.
func (a *App) checkRoutes() error {
	found, err := a.ctx.AppIfConfigured("http")
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil
	}
	if err != nil {
		return err
	}
	app, ok := found.(*caddyhttp.App)
	if !ok {
		return fmt.Errorf("app http is a %T, not Caddy's", found)
	}
	return handlers.CheckRoutes(app, a)
}

// Stop implements caddy.App.
func (a *App) Stop() error {
	if a.stop != nil {
		a.stop()
	}
	a.running.Wait()
	return nil
}

// Cleanup implements caddy.CleanerUpper. It runs for a configuration that failed
// half-way too, and releases only what this one acquired. Requests of the old
// configuration may still run: they keep what they hold.
func (a *App) Cleanup() error {
	for _, release := range a.releases {
		release()
	}
	a.releases = nil
	return nil
}

// Config implements handlers.Services.
func (a *App) Config() *config.Gatehouse { return &a.Gatehouse }

// Known implements handlers.Services.
func (a *App) Known() *handlers.Known { return &a.known }

// Metrics implements handlers.Services.
func (a *App) Metrics() *metrics.Metrics { return a.metrics }

// Trail implements handlers.Services.
func (a *App) Trail() *audit.Trail { return a.trail }

// Log implements handlers.Services.
func (a *App) Log() *slog.Logger { return a.log }

// pooled state; see lease.Pool.
var (
	tokenCaches = lease.NewPool[*token.Cache]()
	keyStates   = lease.NewPool[*keys.State]()
)

func (a *App) leaseCache() {
	entries, bytes := a.TokenCache.Limits()
	a.cache = tokenCaches.Acquire(lease.KeyOf(strconv.Itoa(entries), strconv.FormatInt(bytes, 10)),
		func() *token.Cache { return token.NewCache(entries, bytes) }, (*token.Cache).Close)
	a.releases = append(a.releases, a.cache.Release)
}

// Interface guards.
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
	_ handlers.Services  = (*App)(nil)
	_ admin.Gate         = (*App)(nil)
	_ admin.Operated     = (*App)(nil)
)
