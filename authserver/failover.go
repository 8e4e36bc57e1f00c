package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

// deliver hands a request to the token endpoint, by send, which makes it anew for
// the endpoint it is given. Another replica gets it only if nothing was sent to
// the one before: a grant that arrives twice may be used up, or look stolen.
func (s *Server) deliver(
	ctx context.Context, send func(endpoint string) (*httpx.Response, error),
) (answer *httpx.Response, err error) {
	var failures []error
	for _, replica := range s.order() {
		answer, err = replica.deliver(ctx, send)
		if err == nil {
			return answer, nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil || !errors.Is(err, httpx.ErrNotSent) && !errors.Is(err, errNotAsked) {
			break
		}
	}
	return nil, errors.Join(failures...)
}

// errNotAsked says that the endpoint itself could not be found.
var errNotAsked = errors.New("looking for the token endpoint")

func (r *replica) deliver(
	ctx context.Context, send func(endpoint string) (*httpx.Response, error),
) (*httpx.Response, error) {
	metadata, err := r.learn(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errNotAsked, err)
	case metadata.TokenEndpoint == "":
		return nil, fmt.Errorf("%s: token_endpoint: %w", r.server.options.Issuer, ErrNoEndpoint)
	}
	answer, err := send(metadata.TokenEndpoint)
	switch {
	case errors.Is(err, httpx.ErrUnreachable), errors.Is(err, httpx.ErrTimeout) && errors.Is(err, httpx.ErrNotSent):
		// A slow answer says nothing about the others' requests; none does.
		r.forget()
		r.failed(err)
	case err != nil:
	case answer.Status == http.StatusNotFound || answer.Status == http.StatusGone:
		r.forget() // the endpoint may have moved
	case answer.Status >= http.StatusBadGateway && answer.Status <= http.StatusGatewayTimeout:
		r.failed(fmt.Errorf("%w: the token endpoint answered %d", httpx.ErrUnreachable, answer.Status))
	default:
		r.answered()
	}
	return answer, err
}
