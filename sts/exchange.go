package sts

import (
	"context"
	"errors"
	"time"

	"github.com/caddy-gatehouse/gatehouse/exchange"
	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

var (
	errNoSubject     = errors.New("subject_token or subject_token_type is missing")
	errActorPair     = errors.New("actor_token and actor_token_type stand together or not at all")
	errSubjectType   = errors.New("the type is not among the client's subject_type")
	errActorType     = errors.New("actor_token_type is not that of an access token")
	errRequestedType = errors.New("requested_token_type is not that of an access token")
)

// exchange gives a token for the subject of another (RFC 8693). What happens is
// decided by what that token says.
func (s *Service) exchange(ctx context.Context, o *order) (*Grant, *Error) {
	asked := o.request.form
	if refused := checkTypes(o.client, asked); refused != nil {
		return nil, refused
	}
	claims, scope, refused := s.begin(o)
	if refused != nil {
		return nil, refused
	}
	subject, refused := s.verify(ctx, o.client, asked.get(paramSubject), OutcomeSubject)
	if refused != nil {
		return nil, refused
	}
	o.event.ofSubject(subject)
	actor, identity, refused := s.actor(ctx, o.client, asked)
	if refused != nil {
		return nil, refused
	}
	if refused := s.derive(o, claims, subject, actor, identity); refused != nil {
		return nil, refused
	}
	if subject.Scopes == nil {
		return nil, refuse(OutcomeSubject, errScopeNone)
	}
	if claims.Scope, refused = granted(scope, subject.Scopes, o.client.Scope); refused != nil {
		return nil, refused
	}
	answer, refused := s.issue(ctx, o, claims)
	if refused != nil {
		return nil, refused
	}
	answer.IssuedType = TypeAccessToken
	return answer, nil
}

// checkTypes looks at the parameters of RFC 8693, section 2.1. A type that is not
// verified by rules of its own is not taken: "any JWT" is what an attacker has.
func checkTypes(client *Client, asked form) *Error {
	switch {
	case asked.get(paramSubject) == "" || asked.get(paramSubjectType) == "":
		return refuse(OutcomeMissing, errNoSubject)
	case (asked.get(paramActor) == "") != (asked.get(paramActorType) == ""):
		return refuse(OutcomeMissing, errActorPair)
	case !may(client.SubjectTypes, asked.get(paramSubjectType)) || asked.get(paramSubjectType) != TypeAccessToken:
		return refuse(OutcomeType, errSubjectType)
	case asked.get(paramActorType) != "" && asked.get(paramActorType) != TypeAccessToken:
		return refuse(OutcomeType, errActorType)
	}
	if kind := asked.get(paramRequestedType); kind != "" && kind != TypeAccessToken {
		return refuse(OutcomeRequestedType, errRequestedType)
	}
	return nil
}

// derive takes over from the subject's token what the new one says: whose it is, who
// acts, how long it may live, what it is bound to, and how the user logged in.
func (s *Service) derive(o *order, claims *signing.Claims, subject, actor *token.Token, identity map[string]any) *Error {
	claims.NotAfter = subject.Expiry
	bound := subject.Confirmation
	if refused := holds(o.request, o.key, bound); refused != nil {
		return refused
	}
	if actor != nil {
		if refused := holds(o.request, o.key, actor.Confirmation); refused != nil {
			return refused
		}
		claims.NotAfter = earlier(claims.NotAfter, actor.Expiry)
	}
	act, err := exchange.Delegate(subject, identity)
	if err != nil {
		return refuse(OutcomeActorDenied, err)
	}
	claims.Act = act
	o.event.Actor, _ = identity["sub"].(string)
	claims.Subject, claims.SubjectID = s.config.Naming(subject, claims.Audience)
	claims.Confirmation = binding(o.client, o.request, o.key, bound)
	claims.AuthTime, claims.ACR, claims.AMR = subject.AuthTime, subject.ACR, subject.AMR
	claims.Transaction = transaction(subject)
	if s.config.Origin != nil {
		claims.Origin = s.config.Origin(subject, actor)
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// maxTransaction bounds a txn that is taken over.
const maxTransaction = 128

// transaction keeps the txn of a subject in the middle of one.
func transaction(subject *token.Token) string {
	txn, _ := subject.Claims.Text("txn")
	if txn == "" || len(txn) > maxTransaction {
		return signing.NewTransaction()
	}
	for _, c := range []byte(txn) {
		if c <= ' ' || c > '~' {
			return signing.NewTransaction()
		}
	}
	return txn
}
