package sts

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Grant is a good answer of the token endpoint (RFC 6749, section 5.1; RFC 8693,
// section 2.2.1).
type Grant struct {
	AccessToken token.Raw
	TokenType   string
	// IssuedType is the type of the token, "" where nothing was exchanged.
	IssuedType string
	// ExpiresIn is how long the token is good, in whole seconds.
	ExpiresIn int64
	Scope     []string
	// Nonce is what the answer offers in its DPoP-Nonce header, "" for none.
	Nonce string
}

var (
	errGrantType   = errors.New("grant_type is not one that is offered")
	errGrantDenied = errors.New("the grant is not among the client's")
	errDetails     = errors.New("authorization_details is not supported, and is never passed over")
	errNoGrant     = errors.New("grant_type is missing")
	errLongToken   = errors.New("the new token would be longer than anybody takes: the subject's name, actors or login are too long")
)

// Token answers a request to the token endpoint. The event is filled in as far as
// the request came.
func (s *Service) Token(r *http.Request) (*Grant, Event, *Error) {
	var event Event
	ctx := r.Context()
	read, refused := readRequest(r)
	if refused != nil {
		return nil, event, refused
	}
	client, refused := s.authenticate(ctx, read)
	if refused != nil {
		return nil, event, refused
	}
	event.Client = client.ID
	if refused := s.admit(client, read.form, &event); refused != nil {
		return nil, event, refused
	}
	proved, refused := s.prove(ctx, read)
	if refused != nil {
		return nil, event, refused
	}
	order := &order{client: client, request: read, key: proved.Key, event: &event}
	var answer *Grant
	if event.Grant == GrantTokenExchange {
		answer, refused = s.exchange(ctx, order)
	} else {
		answer, refused = s.clientCredentials(ctx, order)
	}
	if refused != nil {
		return nil, event, refused
	}
	answer.Nonce = proved.NextNonce
	return answer, event, nil
}

// admit asks whether the client may do such a thing at all.
func (s *Service) admit(client *Client, asked form, event *Event) *Error {
	grant := asked.get(paramGrant)
	switch {
	case grant == "":
		return refuse(OutcomeMissing, errNoGrant)
	case grant != GrantClientCredentials && grant != GrantTokenExchange:
		return refuse(OutcomeGrant, errGrantType)
	}
	event.Grant = grant
	switch {
	case !may(client.Grants, grant):
		return refuse(OutcomeGrantDenied, errGrantDenied)
	case len(asked[paramDetails]) > 0:
		// Rights that are passed over are rights that somebody believes to have
		// narrowed (RFC 9396, section 5).
		return refuse(OutcomeDetails, errDetails)
	}
	return nil
}

// An order is what a client that may ask asks for.
type order struct {
	client  *Client
	request *request
	key     token.Thumbprint // of its DPoP proof
	event   *Event
}

// clientCredentials grants a client a token of its own (RFC 6749, section 4.4).
func (s *Service) clientCredentials(ctx context.Context, o *order) (*Grant, *Error) {
	claims, asked, refused := s.begin(o)
	if refused != nil {
		return nil, refused
	}
	if claims.Scope, refused = granted(asked, o.client.Scope); refused != nil {
		return nil, refused
	}
	claims.Subject, claims.Transaction = o.client.subject(), signing.NewTransaction()
	claims.Confirmation = binding(o.client, o.request, o.key, token.Confirmation{})
	return s.issue(ctx, o, claims)
}

// begin reads what is asked for.
func (s *Service) begin(o *order) (*signing.Claims, []string, *Error) {
	asked, refused := askedScope(o.request.form)
	if refused != nil {
		return nil, nil, refused
	}
	o.event.Asked = asked
	audience, refused := target(o.client, o.request.form)
	if refused != nil {
		return nil, nil, refused
	}
	o.event.Target = audience
	return &signing.Claims{Audience: audience, Client: o.client.ID, Lifetime: o.client.lifetime()}, asked, nil
}

// issue mints the token. A client that is opaque gets a reference to it.
func (s *Service) issue(ctx context.Context, o *order, claims *signing.Claims) (*Grant, *Error) {
	if len(claims.Scope) == 0 {
		claims.Scope = nil // nothing was asked for, and nothing is to be had
	}
	minted, err := s.config.Minter.Mint(signing.AccessTokens, claims)
	switch {
	case errors.Is(err, signing.ErrEnded):
		return nil, refuse(OutcomeSubject, err)
	case err != nil:
		return nil, refuse(OutcomeUnavailable, err)
	case len(minted.Token.Reveal()) > maxToken:
		return nil, refuse(OutcomeSubject, errLongToken)
	}
	answer := &Grant{
		AccessToken: minted.Token, TokenType: "Bearer", Scope: claims.Scope,
		ExpiresIn: int64(minted.Expiry.Sub(s.config.Now()) / time.Second),
	}
	if !claims.Confirmation.Key.IsZero() {
		answer.TokenType = "DPoP"
	}
	if o.client.Opaque {
		var refused *Error
		if answer.AccessToken, refused = s.reference(ctx, o.client, minted); refused != nil {
			return nil, refused
		}
	}
	o.event.Granted, o.event.IssuedID, o.event.KeyID = claims.Scope, minted.ID, minted.KeyID
	return answer, nil
}

// ScopeText is the scope as the answer has it.
func (g *Grant) ScopeText() string { return strings.Join(g.Scope, " ") }
