package sts

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/token"
)

var errRevokedShare = errors.New("the client has revoked as many tokens as others may still revoke")

var errForeign = errors.New("the token was issued to another client")

// Revoke makes a token of this service no longer good (RFC 7009). Only the client
// that got it may do so, and every node hears of it. A text that is no good token of this service is no error:
// it is as revoked as it can be.
func (s *Service) Revoke(r *http.Request) (Event, *Error) {
	var event Event
	ctx := r.Context()
	read, client, refused := s.asking(r, &event)
	if refused != nil {
		return event, refused
	}
	text := read.form.get(paramToken)
	found, refused := s.own(ctx, text)
	if refused != nil || found == nil {
		return event, refused
	}
	event.IssuedID = found.token.ID
	if found.token.Client != client.ID {
		return event, refuse(OutcomeForeign, errForeign)
	}
	if refused := s.revoke(ctx, client, found.token); refused != nil {
		return event, refused
	}
	if strings.HasPrefix(text, referencePrefix) {
		if err := s.config.Values.Delete(ctx, referencePurpose, hashed(text)); err != nil {
			return event, unkept(ctx, err)
		}
	}
	return event, nil
}

// revoke puts a token on the list, in which each client has its share.
func (s *Service) revoke(ctx context.Context, client *Client, own *token.Token) *Error {
	giveBack, err := s.config.Revoked.take(client.ID, 1, s.config.Now(), own.Expiry.Add(afterlife))
	if err != nil {
		return refuse(OutcomeTooMany, errRevokedShare)
	}
	if err := s.config.Revoker.Revoke(ctx, own.ID, own.Expiry); err != nil {
		giveBack()
		return unkept(ctx, err)
	}
	return nil
}
