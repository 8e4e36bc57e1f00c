package exchange

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// keyRetry is when to come again while there is no key to sign with.
const keyRetry = 5 * time.Second

var (
	errThumbprint = errors.New("the certificate has no SHA-256 thumbprint")
	errNoSubject  = errors.New("the caller's token has no subject, so there is nobody to mint a token for")
	errOwnName    = errors.New("the caller's subject is the gateway's own identifier")
	errMintedSize = errors.New("with the claims that are copied from the caller's the token would be longer than 16 KiB")
	errClientName = errors.New("the caller's subject is one that only clients of the token service have")
)

// mint returns the token that the gateway itself makes for a caller. No call is
// made, so nobody waits for anybody else: it is one signature, or none where the
// same caller asked before.
func (x *Exchanger) mint(caller Caller, refused *Issued) (*Issued, error) {
	now := x.config.Now()
	if err := x.admit(caller, now); err != nil {
		return nil, err
	}
	asked := x.last().ask(nil, caller.Token)
	if len(asked) == 0 && len(x.last().ceiling) > 0 {
		failure := newError(OutcomeInsufficientScope, errNoScope)
		failure.Scope = x.last().Scope
		return nil, failure
	}
	bound, err := x.confirmation()
	if err != nil {
		return nil, newError(OutcomeFault, err)
	}
	if !x.Remembers() {
		return x.sign(caller, asked, bound)
	}
	key := x.mintKey(caller, asked, bound)
	if kept := x.state.fresh(key, now); kept != nil && (refused == nil || kept.Token.Digest() != refused.Token.Digest()) {
		if x.overtaken(caller) {
			return nil, newError(OutcomeSubjectRejected, errRevoked)
		}
		x.state.counts.used.RecordHits(1)
		return kept, nil
	}
	x.state.counts.used.RecordMisses(1)
	generation := x.state.begin()
	issued, err := x.sign(caller, asked, bound)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		issued.replaced = now
	}
	caps := []time.Time{now.Add(x.config.MaxTTL)}
	life := newLifetime(now, []time.Time{issued.Expiry}, caps)
	x.keep(key, issued, life, caller, generation)
	return issued, nil
}

// mintKey names what is minted for this caller. Beside the token it holds what the
// configuration reads in it, what its issuer says of it where that is asked (claims
// are copied from there, and may be others than a moment ago), and the key that signs:
// a retired key takes its tokens along.
func (x *Exchanger) mintKey(caller Caller, asked []string, bound token.Confirmation) cacheKey {
	digest, read, said := &noDigest, [3]string{x.config.Local.Minter.KeyID(x.config.Local.Type)}, noDigest
	if caller.Token != nil {
		digest, read[1], read[2] = &caller.Token.Digest, caller.Token.Issuer, caller.Token.Subject
		said = caller.Token.Said
	}
	rest := slices.Concat(bound.Key[:], bound.Certificate[:], said[:])
	return x.state.keys.boundKey(&x.settings, digest, asked, read[:], string(rest))
}

// confirmation is what the token is bound to.
func (x *Exchanger) confirmation() (bound token.Confirmation, err error) {
	if x.config.Bind.Prover != nil {
		if bound.Key, err = x.config.Bind.Prover.Thumbprint(); err != nil {
			return token.Confirmation{}, err
		}
	}
	if shown := x.config.Bind.Certificate; shown != nil {
		text := shown.Thumbprint()
		if n, err := base64.RawURLEncoding.Decode(bound.Certificate[:], []byte(text)); err != nil || n != len(bound.Certificate) {
			return token.Confirmation{}, errThumbprint
		}
	}
	return bound, nil
}

// sign mints one token.
func (x *Exchanger) sign(caller Caller, asked []string, bound token.Confirmation) (*Issued, error) {
	claims, err := x.claims(caller.Token)
	if err != nil {
		return nil, err
	}
	claims.Confirmation = bound
	if !x.last().asksNothing() {
		claims.Scope = asked
	}
	minted, err := x.config.Local.Minter.Mint(x.config.Local.Type, claims)
	if err != nil {
		return nil, mintFailure(err)
	}
	if len(minted.Token.Reveal()) > maxIssued {
		// A server's token of that length is refused as well. Here it is not the gateway
		// who has it grow, but what the caller's issuer says of the caller.
		return nil, newError(OutcomeTooLong, errMintedSize)
	}
	issued := &Issued{Scope: claims.Scope, Expiry: minted.Expiry, ID: minted.ID, shown: bound.Certificate}
	issued.Token, issued.Credential = minted.Token.Behind(x.config.Scheme)
	return x.still(caller, issued, nil)
}

// mintFailure says what it means that nothing was minted.
func mintFailure(err error) *Error {
	switch {
	case errors.Is(err, signing.ErrNoKey):
		failure := newError(OutcomeNoKey, err)
		failure.RetryAfter = keyRetry
		return failure
	case errors.Is(err, signing.ErrEnded):
		return newError(OutcomeSubjectRejected, errPast)
	default:
		return newError(OutcomeFault, err)
	}
}

// claims are what a token says of this caller, nil: of the gateway itself.
func (x *Exchanger) claims(caller *token.Token) (*signing.Claims, error) {
	local, own := x.config.Local, x.config.Local.Minter.Issuer()
	claims := &signing.Claims{
		Subject: own, Client: own, Workload: own, Audience: x.last().targets()[0], Lifetime: local.Lifetime,
	}
	if caller == nil {
		claims.Transaction = signing.NewTransaction()
		return claims, nil
	}
	if caller.Subject == "" {
		return nil, newError(OutcomeNoSubject, errNoSubject)
	}
	claims.Subject, claims.SubjectID = local.Subjects.name(caller, own, claims.Audience)
	if claims.Subject == own {
		// Whoever is called like the gateway would be taken for it.
		return nil, newError(OutcomeActorDenied, errOwnName)
	}
	if caller.Issuer != own && strings.HasPrefix(claims.Subject, ClientPrefix) {
		return nil, newError(OutcomeActorDenied, errClientName)
	}
	var err error
	if claims.Act, err = x.act(caller); err != nil {
		return nil, err
	}
	claims.NotAfter = caller.Expiry
	claims.Transaction = transactionOf(caller)
	local.describe(claims, caller)
	return claims, nil
}

// act is the chain of actors. That the gateway may act for the caller is checked
// whether it is named or not; that somebody else does already is never forgotten.
func (x *Exchanger) act(caller *token.Token) (map[string]any, error) {
	act, err := Delegate(caller, x.config.Local.identity)
	switch {
	case err != nil:
		return nil, err
	case x.config.Local.Impersonate, x.config.Local.Type == signing.TransactionTokens:
		return actors(caller), nil // req_wl names the gateway in a transaction token
	}
	return act, nil
}

// transactionOf keeps the txn of a caller who is in the middle of a transaction.
func transactionOf(caller *token.Token) string {
	if txn, ok := caller.Claims.Text("txn"); ok && txn != "" && len(txn) <= maxID && visible(txn) {
		return txn
	}
	return signing.NewTransaction()
}

// describe adds what the caller's token says of its login, the claims that are copied,
// and that the token is derived from it.
func (l *Local) describe(claims *signing.Claims, caller *token.Token) {
	var copied map[string]any
	if len(l.Claims) > 0 {
		copied = make(map[string]any, len(l.Claims))
	}
	for _, claim := range l.Claims {
		if value, ok := caller.Claims.Lookup(claim.Path); ok {
			copied[claim.Name] = value
		}
	}
	if l.Type == signing.TransactionTokens {
		claims.Context, claims.Requester = copied, requester(caller)
		return
	}
	claims.Extra = copied
	if l.Origin != nil {
		claims.Origin = l.Origin(caller)
	}
	claims.AuthTime, claims.ACR, claims.AMR = caller.AuthTime, caller.ACR, caller.AMR
}

// requester is rctx: by which token the transaction was begun. It holds nothing
// that the caller's issuer did not sign.
func requester(caller *token.Token) map[string]any {
	context := map[string]any{"iss": caller.Issuer}
	if caller.Client != "" {
		context["client_id"] = caller.Client
	}
	if caller.ACR != "" {
		context["acr"] = caller.ACR
	}
	if len(caller.AMR) > 0 {
		context["amr"] = caller.AMR
	}
	if !caller.AuthTime.IsZero() {
		context["auth_time"] = caller.AuthTime.Unix()
	}
	return context
}

// remint returns another token instead of one that the upstream refused. A token
// that was made for this very request would be made again the same, unless the files
// of the certificate have changed between the token and the connection.
func (x *Exchanger) remint(caller Caller, refused *Issued) (*Issued, error) {
	bound, err := x.confirmation()
	if err != nil {
		return nil, newError(OutcomeFault, err)
	}
	if !refused.Cached && bound.Certificate == refused.shown {
		return nil, newError(OutcomeUpstreamRefused, errRefusedAgain)
	}
	return x.mint(caller, refused)
}
