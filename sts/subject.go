package sts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/token"
)

var (
	errNoSubjects   = errors.New("the client may exchange no issuer's tokens")
	errReadAs       = errors.New("the token cannot be one")
	errForWhom      = errors.New("aud names neither this service nor the client")
	errNobodyInIt   = errors.New("the token names no subject")
	errReserved     = errors.New("the subject's name is one that only clients of this service have")
	errNoReference  = errors.New("the reference is unknown, or its token has ended")
	errActorUnnamed = errors.New("the client may not send tokens of this actor")
)

// verify verifies a token that a client sent, by the rules of an access token of its
// issuer. outcome is what a bad one is. It must be for this service, or for the
// client itself: the client got it from its caller, and whoever sent a token for
// somebody else's API gets nothing for it.
func (s *Service) verify(ctx context.Context, client *Client, text string, outcome Outcome) (*token.Token, *Error) {
	if len(text) > maxToken {
		return nil, refuse(outcome, errReadAs)
	}
	if client.Subjects == nil {
		return nil, refuse(outcome, errNoSubjects)
	}
	raw, refused := s.resolve(ctx, text, outcome)
	if refused != nil {
		return nil, refused
	}
	verified, _, err := client.Subjects.Verify(ctx, raw)
	if err != nil {
		return nil, unverified(ctx, err, outcome)
	}
	switch {
	case !verified.HasAudience(s.config.Issuer) && !verified.HasAudience(client.ID):
		return nil, refuse(outcome, errForWhom)
	case verified.Subject == "":
		return nil, refuse(outcome, errNobodyInIt)
	case verified.Issuer == s.config.Issuer:
		return verified, nil
	case strings.HasPrefix(verified.Subject, exchange.ClientPrefix), verified.Subject == s.config.Issuer:
		return nil, refuse(outcome, errReserved)
	}
	return verified, nil
}

// unverified tells a bad token from one that could not be checked.
func unverified(ctx context.Context, err error, outcome Outcome) *Error {
	if ctx.Err() != nil {
		return refuse(OutcomeGone, ctx.Err())
	}
	if reason, ok := errors.AsType[token.Reason](err); ok && reason.Class() == token.ClassUnavailable {
		return refuse(OutcomeUnavailable, err)
	}
	return refuse(outcome, err)
}

// resolve turns a reference of this service into its token. Any other text is the
// token itself.
func (s *Service) resolve(ctx context.Context, text string, outcome Outcome) (token.Raw, *Error) {
	if !strings.HasPrefix(text, referencePrefix) {
		return token.NewRaw(text), nil
	}
	inside, found, err := s.dereference(ctx, text)
	switch {
	case err != nil:
		return token.Raw{}, refuse(OutcomeUnavailable, err)
	case !found:
		return token.Raw{}, refuse(outcome, errNoReference)
	}
	return token.NewRaw(inside), nil
}

// actor verifies the actor token, if there is one, and returns who acts: the
// actor's issuer, subject and client. Without an actor token it is the client
// itself: leaving the parameter out takes no name off a token.
func (s *Service) actor(ctx context.Context, client *Client, asked form) (*token.Token, map[string]any, *Error) {
	if asked.get(paramActor) == "" {
		return nil, map[string]any{"iss": s.config.Issuer, "sub": client.subject(), paramClient: client.ID}, nil
	}
	verified, refused := s.verify(ctx, client, asked.get(paramActor), OutcomeActor)
	if refused != nil {
		return nil, nil, refused
	}
	if !may(client.Actors, verified.Client) || verified.Client == "" {
		return nil, nil, refuse(OutcomeActor, fmt.Errorf("%w: add its client_id to actor", errActorUnnamed))
	}
	identity := map[string]any{"iss": verified.Issuer, "sub": verified.Subject, paramClient: verified.Client}
	return verified, identity, nil
}
