package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

// deliver makes one attempt. Only where nothing of it left this machine, and the
// server runs at another place too, it makes another one there: a form that arrives
// twice may be used up, or look stolen (RFC 6819, section 5.2.2.3).
func (c *Client) deliver(
	ctx context.Context, endpoint Endpoint, form url.Values, accept string, prover Prover,
) (*Answer, *attempt, error) {
	place, err := c.locate(ctx, endpoint)
	if err != nil {
		return nil, nil, err
	}
	made := c.newAttempt(place, form, nil)
	answer, err := c.proved(ctx, made, form, accept, prover)
	if !unsent(err) || ctx.Err() != nil {
		return answer, made, err
	}
	next, lost := c.locate(ctx, endpoint)
	if lost != nil || next == place {
		return nil, made, err
	}
	made = c.newAttempt(next, form, nil)
	answer, err = c.proved(ctx, made, form, accept, prover)
	return answer, made, err
}

// unsent tells whether an attempt ended before anything was sent: no connection
// came about, or the endpoint is left alone.
func unsent(err error) bool {
	pause, ok := errors.AsType[*Pause](err)
	return errors.Is(err, httpx.ErrNotSent) || ok && pause.Reason == PauseOpen
}

// served notes how a call to one of the server's endpoints went, so that the next
// one goes where somebody answers. status is 0 if err is not nil.
func (s *Server) served(endpoint string, status int, err error) {
	for _, replica := range s.replicas {
		if known := replica.known(); known != nil && known.has(endpoint) {
			replica.served(status, err)
		}
	}
}

func (r *replica) served(status int, err error) {
	switch {
	case errors.Is(err, ErrUnreachable), unsent(err):
		// A slow answer says nothing about the others' requests; none does.
		r.failed(err)
	case err != nil:
	case status == http.StatusNotFound || status == http.StatusGone:
		r.forget() // the endpoint may have moved
	case status >= http.StatusBadGateway && status <= http.StatusGatewayTimeout:
		r.failed(fmt.Errorf("%w: an endpoint answered %d", ErrUnreachable, status))
	default:
		r.answered()
	}
}
