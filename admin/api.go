package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/audit"
	"github.com/caddy-gatehouse/gatehouse/internal/httpbody"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/signing"
)

func init() { caddy.RegisterModule((*API)(nil)) }

// API is Gatehouse's part of Caddy's admin API. Who may call it is Caddy's to say:
// `admin` and its origins, or the identities of the remote admin endpoint.
//
// It serves the app that runs, and not the one that it was made with: Caddy calls the
// admin API of a new configuration before that has started, and goes on doing so
// when it did not.
type API struct{ listing sync.Mutex }

// Operated is what the admin API needs of the app.
type Operated interface {
	Observed

	// Ring has the gateway's own keys; nil where the configuration has no `sign`.
	Ring() *signing.Ring
	// Trail is the audit trail.
	Trail() *audit.Trail
	// Revocations is the list of what is no longer good.
	Revocations() *revocation.State
	// Trusted are those whose tokens the configuration accepts or makes.
	Trusted() Issuers
	// CountDerived is how much of what the node holds was derived from tokens that
	// match, by what it is.
	CountDerived(match func(*revocation.Facts) bool) map[string]int
	// Unready are the reasons why the node should get no requests, none if it is ready.
	Unready() []string
}

// CaddyModule returns the Caddy module information.
func (*API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.gatehouse", New: func() caddy.Module { return new(API) }}
}

// running is the app of the configuration that Caddy runs, nil if it has none.
func running() Operated {
	found, err := caddy.ActiveContext().AppIfConfigured(appName)
	if err != nil {
		return nil // a configuration without the app is none of our business
	}
	app, _ := found.(Operated)
	return app
}

// The routes.
const (
	routeKeys        = "/gatehouse/keys"
	routeRotate      = "/gatehouse/keys/rotate"
	routeRetire      = "/gatehouse/keys/retire"
	routeRevocations = "/gatehouse/revocations"
	routeReady       = "/gatehouse/ready"
)

// Routes implements caddy.AdminRouter.
func (a *API) Routes() []caddy.AdminRoute {
	answered := map[string]methods{
		routeKeys:        {http.MethodGet: withKeys(a.listKeys)},
		routeRotate:      {http.MethodPost: withKeys(a.rotateKeys)},
		routeRetire:      {http.MethodPost: withKeys(a.retireKey)},
		routeRevocations: {http.MethodGet: a.listRevocations, http.MethodPost: a.revoke},
		routeReady:       {http.MethodGet: a.ready},
	}
	for pattern, read := range lookRoutes() {
		answered[pattern] = methods{http.MethodGet: read}
	}
	routes := make([]caddy.AdminRoute, 0, len(answered))
	for pattern, known := range answered {
		routes = append(routes, caddy.AdminRoute{Pattern: pattern, Handler: route(known)})
	}
	return routes
}

var (
	errNoApp  = errors.New("the running configuration does not use Gatehouse")
	errNoSign = errors.New("the running configuration has no sign, so there are no keys")
)

// An operation is what one method of one route does. Its answer goes out as JSON.
type operation func(*http.Request, Operated) (any, error)

// methods are those of one route.
type methods map[string]operation

func (m methods) names() string { return strings.Join(slices.Sorted(maps.Keys(m)), ", ") }

// withKeys is for what needs the gateway's own keys.
func withKeys(serve operation) operation {
	return func(r *http.Request, app Operated) (any, error) {
		if app.Ring() == nil {
			return nil, caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errNoSign}
		}
		return serve(r, app)
	}
}

// route serves one route.
func route(known methods) caddy.AdminHandler {
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		serve, ok := known[r.Method]
		if !ok {
			w.Header().Set("Allow", known.names())
			return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: fmt.Errorf("method not allowed: use %s", known.names())}
		}
		app := running()
		if app == nil && caddy.Exiting() {
			return write(w, readiness{Reasons: []string{ReasonExiting}})
		}
		if app == nil {
			return caddy.APIError{HTTPStatus: http.StatusNotFound, Err: errNoApp}
		}
		answer, err := serve(r, app)
		if known, ok := errors.AsType[caddy.APIError](err); ok {
			return known
		}
		if err != nil {
			return caddy.APIError{HTTPStatus: statusOf(err), Err: err}
		}
		return write(w, answer)
	})
}

// write sends an answer, with a status of its own if it has one.
func write(w http.ResponseWriter, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if own, ok := answer.(interface{ status() int }); ok {
		w.WriteHeader(own.status())
	}
	return json.NewEncoder(w).Encode(answer)
}

var errBadKid = errors.New(`the body must be {"kid": "…"}`)

func statusOf(err error) int {
	switch {
	case errors.Is(err, signing.ErrUnknownKid):
		return http.StatusNotFound
	case errors.Is(err, signing.ErrPending):
		return http.StatusConflict
	case errors.Is(err, errBadKid), errors.Is(err, errBadOrder), errors.Is(err, errBadQuery), errors.Is(err, revocation.ErrInvalid):
		return http.StatusBadRequest
	default:
		return http.StatusServiceUnavailable
	}
}

// keyList is what GET /gatehouse/keys answers.
type keyList struct {
	Issuer   string            `json:"issuer"`
	Degraded bool              `json:"degraded"`
	Trouble  string            `json:"trouble,omitempty"`
	Keys     []signing.KeyInfo `json:"keys"`
}

func (a *API) listKeys(_ *http.Request, app Operated) (any, error) {
	return keysOf(app.Ring()), nil
}

func keysOf(ring *signing.Ring) keyList {
	status := ring.Status()
	list := keyList{Issuer: ring.Issuer(), Degraded: status.Degraded, Keys: ring.Keys()}
	if status.Trouble != nil {
		list.Trouble = status.Trouble.Error()
	}
	return list
}

func (a *API) rotateKeys(r *http.Request, app Operated) (any, error) {
	ring := app.Ring()
	made, err := ring.Rotate(r.Context())
	record(r, app, "rotate_keys", made, err)
	return keyList{Issuer: ring.Issuer(), Degraded: ring.Status().Degraded, Keys: made}, err
}

// maxKidBody bounds the body of a retirement.
const maxKidBody = 4096

func (a *API) retireKey(r *http.Request, app Operated) (any, error) {
	var asked struct {
		Kid string `json:"kid"`
	}
	body, fits, err := httpbody.Read(r.Body, maxKidBody)
	if err != nil || !fits || json.Unmarshal(body, &asked) != nil || asked.Kid == "" {
		return nil, errBadKid
	}
	was, err := app.Ring().Retire(r.Context(), asked.Kid)
	if err != nil {
		was.Kid = asked.Kid
	}
	record(r, app, "retire_key", []signing.KeyInfo{was}, err)
	return was, err
}

// record writes an act of an operator into the audit trail, whether or not it
// came to anything.
func record(r *http.Request, app Operated, name string, keys []signing.KeyInfo, err error) {
	act := audit.Act{Name: name, RemoteIP: remoteIP(r), Err: err}
	for _, key := range keys {
		act.Kids = append(act.Kids, key.Kid)
	}
	app.Trail().Operated(r.Context(), act)
}

func remoteIP(r *http.Request) string {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // a unix socket
	}
	return ip
}

// Interface guard.
var _ caddy.AdminRouter = (*API)(nil)
