package sts

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Media types of introspection answers.
const (
	mediaJSON = "application/json"
	// mediaSigned is a signed answer (RFC 9701, section 5).
	mediaSigned = "application/token-introspection+jwt"
	// mediaJWT is the token behind a reference itself: the phantom token.
	mediaJWT = "application/jwt"
)

// An Answer is one of introspection.
type Answer struct {
	// MediaType is the type of Body; "" where there is none, since the token behind
	// no good reference was asked for.
	MediaType string
	Body      []byte
	// Active tells what the answer says.
	Active bool
}

var errNoToken = errors.New("token is missing")

// Introspect answers a question about a token (RFC 7662). A client learns of the
// tokens that name it as their audience, and of those that it got itself; of every
// other it hears that it is not active, as of one that does not exist.
func (s *Service) Introspect(r *http.Request) (*Answer, Event, *Error) {
	var event Event
	ctx := r.Context()
	read, client, refused := s.asking(r, &event)
	if refused != nil {
		return nil, event, refused
	}
	found, refused := s.own(ctx, read.form.get(paramToken))
	if refused != nil {
		return nil, event, refused
	}
	if found != nil {
		event.IssuedID = found.token.ID
	}
	if found != nil && !found.token.HasAudience(client.ID) && found.token.Client != client.ID {
		found = nil
	}
	answer, err := s.describe(read, client, found)
	if err != nil {
		return nil, event, refuse(OutcomeUnavailable, err)
	}
	return answer, event, nil
}

// asking reads a request about a token, and finds out who asks.
func (s *Service) asking(r *http.Request, event *Event) (*request, *Client, *Error) {
	read, refused := readRequest(r)
	if refused != nil {
		return nil, nil, refused
	}
	client, refused := s.authenticate(r.Context(), read)
	if refused != nil {
		return nil, nil, refused
	}
	event.Client = client.ID
	if read.form.get(paramToken) == "" {
		return nil, nil, refuse(OutcomeMissing, errNoToken)
	}
	return read, client, nil
}

// describe writes the answer in the form that was asked for. found is nil for a token
// that is not active.
func (s *Service) describe(read *request, client *Client, found *owned) (*Answer, error) {
	var verified *token.Token
	if found != nil {
		verified = found.token
	}
	switch {
	case accepts(read.accept, mediaSigned):
		return s.signed(client, verified)
	case accepts(read.accept, mediaJWT) && verified == nil:
		return &Answer{}, nil
	case accepts(read.accept, mediaJWT):
		return &Answer{MediaType: mediaJWT, Body: []byte(found.raw.Reveal()), Active: true}, nil
	}
	body, err := json.Marshal(members(verified))
	return &Answer{MediaType: mediaJSON, Body: body, Active: verified != nil}, err
}

// members are what is said about a token: all its claims, since it is the service's
// own and says nothing that its audience may not know.
func members(verified *token.Token) map[string]any {
	if verified == nil {
		return map[string]any{"active": false}
	}
	said := make(map[string]any)
	for _, name := range verified.Claims.Names() {
		said[name], _ = verified.Claims.Get(name)
	}
	said["active"], said["token_type"] = true, "Bearer"
	if !verified.Confirmation.Key.IsZero() {
		said["token_type"] = "DPoP"
	}
	return said
}

// signed is the answer as a JWT for the client that asks (RFC 9701, section 5).
func (s *Service) signed(client *Client, verified *token.Token) (*Answer, error) {
	signer, err := s.config.Keys.Signer(signing.AccessTokens)
	if err != nil {
		return nil, err
	}
	payload, err := json.Marshal(map[string]any{
		"iss": s.config.Issuer, "aud": client.ID, "iat": s.config.Now().Unix(), "token_introspection": members(verified),
	})
	if err != nil {
		return nil, fmt.Errorf("writing an answer: %w", err)
	}
	text, err := signer.Sign(map[string]any{"typ": "token-introspection+jwt"}, payload)
	if err != nil {
		return nil, err
	}
	return &Answer{MediaType: mediaSigned, Body: []byte(text), Active: verified != nil}, nil
}

// accepts tells whether an Accept header names a media type, and not to rule it out
// (RFC 9110, section 12.4.2). Wildcards mean the answer that every client can read.
func accepts(values []string, media string) bool {
	for _, value := range values {
		for element := range strings.SplitSeq(value, ",") {
			named, parameters, err := mime.ParseMediaType(element)
			if err != nil || named != media {
				continue
			}
			weight, weighted := parameters["q"]
			if q, err := strconv.ParseFloat(weight, 64); !weighted || err != nil || q > 0 {
				return true
			}
		}
	}
	return false
}
