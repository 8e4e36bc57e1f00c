package authserver

import (
	"context"
	"net/url"
)

// A Prover proves the key that a token is to be bound to (RFC 9449, section 5).
type Prover interface {
	// Prove makes a proof for one POST to an endpoint, with the last nonce that was
	// offered there.
	Prove(endpoint string) (string, error)
	// Offered is told the nonce in an endpoint's answer.
	Offered(endpoint, nonce string)
}

// TokenProved is Token with a proof of the key that the token is to be bound to. A
// server that wants a nonce in the proof is asked once more, with it (section 8).
func (c *Client) TokenProved(ctx context.Context, form url.Values, prover Prover) (*TokenResponse, error) {
	endpoint := Endpoint{Name: EndpointToken, URL: c.options.TokenEndpoint}
	answer, err := c.post(ctx, endpoint, form, "application/json", prover)
	if err != nil {
		return nil, err
	}
	return readAnswer(answer, c.options.Now())
}

const nonceHeader = "DPoP-Nonce"

// proved makes an attempt with a proof. A second one, with the nonce, proves the
// client anew: an assertion is good once.
func (c *Client) proved(
	ctx context.Context, first *attempt, form url.Values, accept string, prover Prover,
) (*Answer, error) {
	if prover == nil {
		return c.try(ctx, first, accept)
	}
	answer, err := c.tryProved(ctx, first, accept, prover)
	if err != nil || answer.header.Get(nonceHeader) == "" ||
		answer.Status < 400 || answer.Refusal(c.options.Now()).Code != "use_dpop_nonce" {
		return answer, err
	}
	again := c.newAttempt(first.endpoint, form, first.avoid)
	answer, err = c.tryProved(ctx, again, accept, prover)
	first.proof = again.proof
	return answer, err
}

func (c *Client) tryProved(ctx context.Context, attempt *attempt, accept string, prover Prover) (*Answer, error) {
	proof, err := prover.Prove(attempt.endpoint)
	if err != nil {
		return nil, err
	}
	attempt.header.Set("DPoP", proof)
	answer, err := c.try(ctx, attempt, accept)
	if err == nil {
		prover.Offered(attempt.endpoint, answer.header.Get(nonceHeader))
	}
	return answer, err
}
