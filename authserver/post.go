package authserver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/httpx"
)

// discoveryPlace stands for the places of a server's metadata in its Guard.
const discoveryPlace = "discovery"

// clientAuthFields are the form fields that client authentication uses. A
// request that brings one itself could carry two proofs (RFC 6749, section 2.3).
var clientAuthFields = []string{"client_id", "client_secret", "client_assertion", "client_assertion_type"}

// An Answer is what an endpoint answered, whatever it is.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// MediaType is that of the body, in small letters and without parameters.
	MediaType string
	// Body is whole, and at most 64 KiB.
	Body []byte
	// SentAt is when the request was sent.
	SentAt time.Time

	header http.Header
	shown  string // see TokenResponse.Shown
}

// Refusal reads an answer with a status of 400 and above.
func (a *Answer) Refusal(now time.Time) *Refusal { return newRefusal(a.Status, a.header, a.Body, now) }

// Token posts a form to the token endpoint as this client. The form is not
// changed; it must not bring client authentication of its own. Errors: *Refusal,
// *Pause, or one that wraps ErrUnreachable, ErrTimeout, ErrBadAnswer, or
// context.Canceled if ctx was cancelled.
func (c *Client) Token(ctx context.Context, form url.Values) (*TokenResponse, error) {
	answer, err := c.Post(ctx, Endpoint{Name: EndpointToken, URL: c.options.TokenEndpoint}, form, "application/json")
	if err != nil {
		return nil, err
	}
	return readAnswer(answer, c.options.Now())
}

// Post posts a form to an endpoint as this client; accept is the header of that
// name. It reads of the answer whether it refuses the client, and nothing else.
// If it does, the credentials are read again, and if there are others the form is
// sent once more. Where nothing could be sent to one of the server's places it is
// sent to another. Errors are those of Token but *Refusal.
func (c *Client) Post(ctx context.Context, endpoint Endpoint, form url.Values, accept string) (*Answer, error) {
	return c.post(ctx, endpoint, form, accept, nil)
}

func (c *Client) post(
	ctx context.Context, endpoint Endpoint, form url.Values, accept string, prover Prover,
) (*Answer, error) {
	limited, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	for _, name := range clientAuthFields {
		if form.Has(name) {
			return nil, fmt.Errorf("the request brings %s itself", name)
		}
	}
	answer, first, err := c.deliver(limited, endpoint, form, accept, prover)
	if err != nil {
		return nil, classify(ctx, err)
	}
	if !refusesClient(answer) || !c.options.Auth.refused(first) {
		return answer, nil
	}
	second := c.newAttempt(first.endpoint, form, &first.proof)
	other, err := c.proved(limited, second, form, accept, prover)
	switch {
	case err != nil:
		return nil, classify(ctx, err)
	case refusesClient(other):
		// Neither is it, so it is not about the credentials: the first answer tells why.
		c.options.Auth.refused(second)
		return answer, nil
	case tellsNothing(other.Status):
		return other, nil
	}
	c.options.Auth.accepted(second)
	return other, nil
}

// refusesClient tells whether an answer may be about the credentials: by its code, or by
// its status where it has none. Keycloak says unauthorized_client of a wrong secret.
func refusesClient(answer *Answer) bool {
	if answer.Status < http.StatusBadRequest || answer.Status >= http.StatusInternalServerError {
		return false
	}
	switch answer.Refusal(time.Time{}).Code {
	case "invalid_client", "unauthorized_client":
		return true
	case "":
		return answer.Status == http.StatusUnauthorized || answer.Status == http.StatusForbidden
	default:
		return false
	}
}

// tellsNothing knows the statuses of a server that did not come to look at who asks.
func tellsNothing(status int) bool {
	return status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// locate finds an endpoint. Whoever is looked for in vain is left alone as well.
func (c *Client) locate(ctx context.Context, endpoint Endpoint) (string, error) {
	if endpoint.URL != "" {
		return endpoint.URL, nil
	}
	metadata, err := c.discover(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", endpoint.Name, err)
	}
	place := metadata.Endpoint(endpoint.Name, c.shows != nil)
	if place == "" {
		return "", fmt.Errorf("%s: %s: %w", c.Issuer(), endpoint.Name, ErrNoEndpoint)
	}
	return place, nil
}

func (c *Client) discover(ctx context.Context) (metadata *Metadata, err error) {
	if c.options.Server == nil {
		return nil, ErrNoEndpoint
	}
	err = c.guarded(ctx, discoveryPlace, func() (err error) {
		metadata, err = c.options.Server.Metadata(ctx)
		return classify(ctx, err)
	})
	return metadata, err
}

// SignsIntrospection tells whether the server offers signed answers to
// introspection (RFC 9701), false where its metadata cannot be had.
func (c *Client) SignsIntrospection(ctx context.Context) bool {
	metadata, err := c.discover(ctx)
	return err == nil && metadata.SignsIntrospection
}

func (c *Client) newAttempt(place string, form url.Values, avoid *proof) *attempt {
	made := &attempt{
		clientID: c.options.ID, endpoint: place, issuer: c.Issuer(), now: c.options.Now(),
		form: make(url.Values, len(form)+3), header: make(http.Header, 4), avoid: avoid,
	}
	maps.Copy(made.form, form)
	return made
}

// try makes one attempt.
func (c *Client) try(ctx context.Context, attempt *attempt, accept string) (*Answer, error) {
	request, err := c.request(ctx, attempt, accept)
	if err != nil {
		return nil, err
	}
	over, err := c.connections()
	if err == nil {
		err = c.checkShown(attempt.endpoint)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: client %s: %w", ErrCredentials, c.options.ID, err)
	}
	answer := &Answer{SentAt: c.options.Now()}
	err = c.guarded(ctx, attempt.endpoint, func() error {
		response, err := over.http.Do(request, maxAnswerBytes)
		if err != nil {
			return classify(ctx, err)
		}
		answer.Status, answer.header, answer.Body = response.Status, response.Header, response.Body
		answer.shown = over.shown()
		answer.MediaType, _, _ = mime.ParseMediaType(response.Header.Get("Content-Type"))
		return errStatus(response.Status)
	})
	if _, answered := errors.AsType[errStatus](err); answered {
		c.note(attempt.endpoint, answer.Status, nil)
		return answer, nil
	}
	c.note(attempt.endpoint, 0, err)
	return nil, err
}

// guarded makes a call through the server's guard, and says when that changes how
// the endpoint is treated.
func (c *Client) guarded(ctx context.Context, place string, work func() error) error {
	err := c.options.Guard.call(ctx, place, work)
	if change := c.options.Guard.breaker(place).news(); change != nil {
		change.URL = place
		if change.Open {
			c.options.Log.WarnContext(ctx, "leaving an endpoint alone that does not work", "issuer", c.Issuer(), "endpoint", place, "reason", change.Cause)
		} else {
			c.options.Log.InfoContext(ctx, "an endpoint works again", "issuer", c.Issuer(), "endpoint", place)
		}
	}
	return err
}

// note tells the server how one of its endpoints did.
func (c *Client) note(endpoint string, status int, err error) {
	if c.options.Server != nil {
		c.options.Server.served(endpoint, status, err)
	}
}

func (c *Client) request(ctx context.Context, attempt *attempt, accept string) (*http.Request, error) {
	if err := c.options.Auth.authenticate(ctx, attempt); err != nil {
		if late := ctx.Err(); late != nil && errors.Is(err, late) { // a key module that hangs
			return nil, classify(ctx, fmt.Errorf("client %s: %w", c.options.ID, err))
		}
		return nil, fmt.Errorf("%w: client %s: %w", ErrCredentials, c.options.ID, err)
	}
	body := strings.NewReader(attempt.form.Encode())
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, attempt.endpoint, body)
	if err != nil {
		return nil, fmt.Errorf("%w: the endpoint is not a URL", ErrCredentials)
	}
	request.Header = attempt.header
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", accept)
	return request, nil
}

// classify gives an error one of the names above. Only a caller that left is not
// the server's fault: then there is nothing to say about the server.
func classify(ctx context.Context, err error) error {
	var pause *Pause
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("asking the server: %w", context.Canceled)
	case errors.As(err, &pause), errors.Is(err, ErrCredentials), errors.Is(err, ErrTimeout),
		errors.Is(err, ErrUnreachable), errors.Is(err, ErrBadAnswer):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", ErrTimeout, err)
	case errors.Is(err, httpx.ErrUnreachable):
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	case errors.Is(err, httpx.ErrTooLarge), errors.Is(err, ErrMetadata), errors.Is(err, ErrNoEndpoint):
		return fmt.Errorf("%w: %w", ErrBadAnswer, err)
	default:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
}
