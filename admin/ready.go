package admin

import "net/http"

// ReasonExiting is why a gateway that shuts down is not ready. Caddy runs no
// configuration then, as far as its admin API knows, and serves requests until
// shutdown_delay has passed.
const ReasonExiting = "the gateway is shutting down"

// readiness is what GET /gatehouse/ready answers.
type readiness struct {
	Ready bool `json:"ready"`
	// Reasons are why not.
	Reasons []string `json:"reasons,omitempty"`
}

// status implements the answer's own status.
func (r readiness) status() int {
	if !r.Ready {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func (a *API) ready(_ *http.Request, app Operated) (any, error) {
	reasons := app.Unready()
	return readiness{Ready: len(reasons) == 0, Reasons: reasons}, nil
}
