package sts

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// What the service keeps: until the tokens end, and no longer.
const (
	referencePurpose = store.Purpose("reference")

	// referencePrefix begins every reference, so that whoever sees one knows whom to
	// ask about it, and scanners find those that lie where they should not.
	referencePrefix = "ghr_"
	referenceBytes  = 32
)

// ReferencePrefix begins every reference token.
const ReferencePrefix = referencePrefix

// reference keeps a client's token and returns what stands for it outside: 256 random
// bits.
func (s *Service) reference(ctx context.Context, client *Client, minted *signing.Minted) (token.Raw, *Error) {
	inside := []byte(minted.Token.Reveal())
	giveBack, err := s.config.Holdings.take(client.ID, len(inside), s.config.Now(), minted.Expiry)
	if err != nil {
		return token.Raw{}, refuse(OutcomeTooMany, err)
	}
	var random [referenceBytes]byte
	_, _ = rand.Read(random[:])
	text := referencePrefix + base64.RawURLEncoding.EncodeToString(random[:])
	if err := s.config.Values.Put(ctx, referencePurpose, hashed(text), inside, minted.Expiry); err != nil {
		giveBack()
		return token.Raw{}, unkept(ctx, err)
	}
	return token.NewRaw(text), nil
}

// hashed is under what a reference is kept: whoever reads the store's keys cannot
// use them.
func hashed(reference string) string {
	sum := sha256.Sum256([]byte(reference))
	return string(sum[:])
}

// dereference returns the token behind a reference.
func (s *Service) dereference(ctx context.Context, reference string) (inside string, found bool, err error) {
	if len(reference) != len(referencePrefix)+base64.RawURLEncoding.EncodedLen(referenceBytes) {
		return "", false, nil
	}
	value, found, err := s.config.Values.Get(ctx, referencePurpose, hashed(reference))
	return string(value), found, err
}

// unkept says what it means that the store did not keep something.
func unkept(ctx context.Context, err error) *Error {
	switch {
	case ctx.Err() != nil:
		return refuse(OutcomeGone, err)
	case errors.Is(err, store.ErrFull):
		return refuse(OutcomeTooMany, err)
	default:
		return refuse(OutcomeUnavailable, err)
	}
}

// An owned token is a good one of this service's.
type owned struct {
	raw   token.Raw // the JWT, whatever was presented
	token *token.Token
}

// own finds a token of this service, by its text or its reference. It is nil for
// every other text: one that is bad, ended, revoked, or somebody else's.
func (s *Service) own(ctx context.Context, text string) (*owned, *Error) {
	raw, refused := s.resolve(ctx, text, OutcomeSubject)
	if refused != nil {
		return nil, unlessBad(refused)
	}
	if len(raw.Reveal()) > maxToken {
		return nil, nil
	}
	verified, _, err := s.config.Own.Verify(ctx, raw)
	if err != nil {
		return nil, unlessBad(unverified(ctx, err, OutcomeSubject))
	}
	return &owned{raw: raw, token: verified}, nil
}

// unlessBad lets what could not be checked stay a refusal: that a token is bad is an
// answer.
func unlessBad(refused *Error) *Error {
	if refused.Outcome == OutcomeSubject {
		return nil
	}
	return refused
}
