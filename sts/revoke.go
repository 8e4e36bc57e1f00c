package sts

import (
	"errors"
	"net/http"
	"strings"
)

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
	if err := s.config.Revoker.Revoke(ctx, found.token.ID, found.token.Expiry); err != nil {
		return event, unkept(ctx, err)
	}
	if strings.HasPrefix(text, referencePrefix) {
		if err := s.config.Values.Delete(ctx, referencePurpose, hashed(text)); err != nil {
			return event, unkept(ctx, err)
		}
	}
	return event, nil
}
