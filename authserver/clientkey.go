package authserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// A KeyFile is a private key that signs assertions. It is read again when it
// changes.
type KeyFile struct {
	// Path is a file with one private key: a JWK, or PEM.
	Path string
	// Algorithm signs. Default: the JWK's own, else the one of the key's type.
	Algorithm jose.Algorithm
	// ID is the kid. Default: the JWK's own, else none.
	ID string
}

// signingKey reads the content of the file. It fails for a key that cannot sign.
func (k KeyFile) signingKey(content []byte) (SigningKey, error) {
	key, err := jose.ParsePrivateKey(content)
	if err != nil {
		return SigningKey{}, err
	}
	made := SigningKey{Signer: key.Signer, Algorithm: k.Algorithm, ID: k.ID}
	if made.Algorithm == "" {
		made.Algorithm = key.Algorithm
	}
	if made.ID == "" {
		made.ID = key.ID
	}
	_, err = made.signer()
	return made, err
}

// PrivateKeyJWT proves the client by assertions signed with its private key
// (private_key_jwt). The server knows the public half alone: what it loses is no
// credential.
func PrivateKeyJWT(key KeyFile, shape Assertion) (ClientAuth, error) {
	file, err := WatchKey(key, shape.Log)
	if err != nil {
		return nil, err
	}
	return KeyAssertion(key.Path+" "+key.ID, file, shape)
}

type keyAuth struct {
	id     string
	source KeySource
	maker  *asserter
	guest  *guest
}

// A keyName tells a key from its successor, in whatever object it lives.
type keyName struct{ thumbprint, id string }

func nameOf(signer *jose.Signer) keyName {
	sum := signer.Public().Thumbprint()
	return keyName{string(sum[:]), signer.KeyID()}
}

func (a *keyAuth) signer(ctx context.Context) (signer *jose.Signer, isGuests bool, err error) {
	key, err := a.source.SigningKey(ctx)
	if err != nil {
		return nil, false, err
	}
	signer, err = key.signer()
	return signer, isGuest(key.Signer), err
}

func (a *keyAuth) authenticate(ctx context.Context, attempt *attempt) error {
	signer, isGuests, err := a.signer(ctx)
	if err != nil {
		return err
	}
	attempt.proof = proof{content: nameOf(signer)}
	header, payload, err := a.maker.make(attempt)
	if err != nil {
		return err
	}
	var assertion string
	if isGuests {
		assertion, err = a.guest.sign(ctx, signer, header, payload)
	} else {
		assertion, err = signer.Sign(header, payload)
	}
	if err != nil {
		return err
	}
	send(attempt, assertion)
	return nil
}

func (a *keyAuth) keyID() string                     { return a.id }
func (a *keyAuth) check(options ClientOptions) error { return a.maker.check(options) }
func (*keyAuth) accepted(*attempt)                   {}

func (a *keyAuth) refused(attempt *attempt) bool {
	again, ok := a.source.(Rereader)
	if ok {
		again.Reread()
	}
	if a.maker.thumbprint != nil {
		a.maker.thumbprint.reread()
	}
	if !ok || attempt.avoid != nil {
		return false
	}
	signer, _, err := a.signer(context.Background()) // read already: nothing to wait for
	return err == nil && attempt.proof.content != any(nameOf(signer))
}

// maxAssertion bounds the token of a workload.
const maxAssertion = 16 << 10

var errAssertion = errors.New("there is no JWT in it")

// Federated proves the client by a token that somebody else made for this
// workload and keeps fresh in a file: a Kubernetes service account token, a
// SPIFFE JWT-SVID (RFC 7523, section 2.2). log is told when it cannot be read.
func Federated(path string, log *slog.Logger) (ClientAuth, error) {
	file, err := watch(path, log, parseAssertion)
	if err != nil {
		return nil, fmt.Errorf("assertion_file: %w", err)
	}
	return &federatedAuth{path: path, file: file}, nil
}

func parseAssertion(content []byte) (Secret, error) {
	text := trimSpace(content)
	if len(text) > maxAssertion {
		return Secret{}, errors.New("what is in it is longer than 16 KiB")
	}
	if _, err := jose.ParseJWS(text); err != nil {
		return Secret{}, errAssertion
	}
	return NewSecret(text), nil
}

type federatedAuth struct {
	path string
	file *watched[Secret]
}

func (a *federatedAuth) authenticate(_ context.Context, attempt *attempt) error {
	assertion := a.file.get()
	if a.expired(assertion, attempt.now) {
		// Whoever keeps it fresh has surely done so by now.
		a.file.reread()
		assertion = a.file.get()
	}
	attempt.proof = proof{content: assertion.Reveal()}
	send(attempt, assertion.Reveal())
	if a.isSVID(assertion, attempt.issuer) {
		attempt.form.Set("client_assertion_type", assertionSPIFFE)
	}
	return nil
}

// expired reads the exp that the server will look at.
func (*federatedAuth) expired(assertion Secret, now time.Time) bool {
	claims, err := claimsOf(assertion)
	if err != nil {
		return true
	}
	value, ok := claims.Get("exp")
	return ok && !now.Before(expiryOf(value))
}

// isSVID knows a SPIFFE JWT-SVID that was made for this server alone, which has a type of
// its own (draft-ietf-oauth-spiffe-client-auth). One with another audience is
// for a server that takes it as any other workload's token, as Entra does.
func (*federatedAuth) isSVID(assertion Secret, issuer string) bool {
	claims, err := claimsOf(assertion)
	if err != nil || issuer == "" {
		return false
	}
	subject, _ := claims.Get("sub")
	audience, _ := claims.Get("aud")
	if list, ok := audience.([]any); ok && len(list) == 1 {
		audience = list[0]
	}
	text, _ := subject.(string)
	return strings.HasPrefix(text, "spiffe://") && audience == any(issuer)
}

func claimsOf(assertion Secret) (jose.Object, error) {
	jws, err := jose.ParseJWS(assertion.Reveal())
	if err != nil {
		return jose.Object{}, err
	}
	return jose.ReadObject(jws.Payload)
}

func (a *federatedAuth) keyID() string           { return "federated " + a.path }
func (*federatedAuth) check(ClientOptions) error { return nil }
func (*federatedAuth) accepted(*attempt)         {}

func (a *federatedAuth) refused(attempt *attempt) bool {
	a.file.reread()
	return attempt.avoid == nil && attempt.proof.content != any(a.file.get().Reveal())
}
