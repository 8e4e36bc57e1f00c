package token

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// An Outcome is what came of one check.
type Outcome string

// The outcomes.
const (
	// Passed: the token meets the check.
	Passed Outcome = "ok"
	// Failed: it does not.
	Failed Outcome = "failed"
	// NotReached: an earlier failure left nothing to check.
	NotReached Outcome = "not reached"
)

// A CheckResult is one check and what came of it.
type CheckResult struct {
	// Name is short and stable: decryption (of encrypted tokens alone), format,
	// issuer, claims, algorithm, type, kind, binding, expiry, not_before, issued_at,
	// age, audience, profile, required_claims, key, signature, status (of tokens that name
	// a status list alone).
	Name string
	// Outcome is what came of it.
	Outcome Outcome
	// Err says why it failed and wraps the Reason; nil otherwise. It never quotes
	// the token.
	Err error
}

// An Explanation is how a verifier sees a token, check by check. Unless it is
// Good nothing of the token may be believed: it may say anything.
type Explanation struct {
	// Header and Claims are what the token says, empty where it is no JWT.
	Header jose.Object
	Claims Claims
	// Inner is the header of the signed token in an encrypted one, empty otherwise.
	Inner jose.Object
	// Token is how the claims are read as those of Issuer, nil if they cannot be.
	Token *Token
	// Issuer is the one that iss names, nil if the route has no such one.
	Issuer *Issuer
	// Algorithm is the alg header.
	Algorithm jose.Algorithm
	// Key made the signature, nil if none did or none was looked for.
	Key *jose.Key
	// Checks are all checks in their order.
	Checks []CheckResult
}

// Good tells whether every check was passed: whether Verify accepts the token.
func (e *Explanation) Good() bool {
	for _, result := range e.Checks {
		if result.Outcome != Passed {
			return false
		}
	}
	return len(e.Checks) > 0
}

// note adds the result of a check and tells whether it was passed.
func (e *Explanation) note(name string, err error) bool {
	result := CheckResult{Name: name, Outcome: Passed, Err: err}
	if err != nil {
		result.Outcome = Failed
	}
	e.Checks = append(e.Checks, result)
	return err == nil
}

func (e *Explanation) skip(names ...string) {
	for _, name := range names {
		e.Checks = append(e.Checks, CheckResult{Name: name, Outcome: NotReached})
	}
}

// Note adds the result of a check that somebody else made, nil for a passed one.
func (e *Explanation) Note(name string, err error) { e.note(name, err) }

// Skip adds checks that were not reached, and then those of a token's claims.
func (e *Explanation) Skip(names ...string) {
	e.skip(names...)
	e.skip(checkNames()...)
}

// Explain checks a token as Verify does and goes on after a failure wherever
// there is something left to check, for a person who asks why. It remembers
// nothing, and asks for keys as Verify does.
func (v *Verifier) Explain(ctx context.Context, raw Raw) Explanation {
	return v.explain(ctx, raw, false)
}

// ExplainToAsk is to VerifyToAsk what Explain is to Verify.
func (v *Verifier) ExplainToAsk(ctx context.Context, raw Raw) Explanation {
	return v.explain(ctx, raw, true)
}

// ExplainJudged adds to an explanation what Judge says of the token, check by check.
func (v *Verifier) ExplainJudged(e *Explanation, t *Token) {
	e.Claims = t.Claims
	issuer, ok := v.issuers[t.Issuer]
	if !ok {
		e.note("issuer", UnknownIssuer)
		e.skip(checkNames()...)
		return
	}
	e.Token, e.Issuer = t, issuer.Issuer
	v.explainChecks(e, false)
}

func (v *Verifier) explain(ctx context.Context, raw Raw, asking bool) Explanation {
	var e Explanation
	e.Header, _ = jose.ReadHeader(raw.Reveal())
	jws, opener, ok := v.explainForm(&e, raw.Reveal())
	if !ok {
		e.skip("issuer", "claims", "algorithm")
		e.skip(checkNames()...)
		e.skip("key", "signature")
		return e
	}
	e.Algorithm = jose.Algorithm(jws.Header.Algorithm)
	issuer, err := v.choose(e.Claims)
	if err == nil {
		_, err = issuer.opens(raw, opener)
	}
	if !e.note("issuer", err) {
		// Nothing is checked by the rules of nobody: only the shape of the claims is
		// the same for all.
		_, err := readJWT(raw.Digest(), jws.Header.Type, e.Claims, ClaimPaths{})
		e.note("claims", err)
		e.skip("algorithm")
		e.skip(checkNames()...)
		e.skip("key", "signature")
		return e
	}
	e.Issuer = issuer.Issuer
	v.explainClaims(&e, raw, jws, asking)
	e.explainKey(ctx, jws)
	e.explainStatus(ctx)
	return e
}

// explainForm opens and reads the token.
func (v *Verifier) explainForm(e *Explanation, text string) (jws *jose.JWS, opener Decrypter, ok bool) {
	inner, opener, err := v.decrypt(text)
	if jose.IsEncrypted(text) {
		if err == nil && opener == nil {
			err = fmt.Errorf("%w: no issuer of this route has decrypt", Encrypted)
		}
		if !e.note("decryption", err) {
			e.skip("format")
			return nil, nil, false
		}
		e.Inner, _ = jose.ReadHeader(inner)
	}
	if err == nil {
		jws, e.Claims, err = parse(inner)
	}
	return jws, opener, e.note("format", err)
}

func checkNames() []string {
	names := make([]string, len(checks))
	for i := range checks {
		names[i] = checks[i].name
	}
	return names
}

// explainClaims asks what Verify asks before it looks for a key.
func (v *Verifier) explainClaims(e *Explanation, raw Raw, jws *jose.JWS, asking bool) {
	parsed, err := readJWT(raw.Digest(), jws.Header.Type, e.Claims, e.Issuer.Claims)
	readable := e.note("claims", err)
	err = nil
	if !e.Issuer.allows(e.Algorithm) {
		err = WrongAlgorithm
	}
	e.note("algorithm", err)
	if !readable {
		// A claim of a wrong type reads as absent, and would be blamed for that.
		e.skip(checkNames()...)
		return
	}
	e.Token = parsed
	v.explainChecks(e, asking)
}

func (v *Verifier) explainChecks(e *Explanation, asking bool) {
	at := v.moment(e.Issuer, asking)
	for _, check := range checks {
		e.note(check.name, check.ask(e.Token, e.Issuer, at))
	}
}

// explainKey looks for the key, unless the algorithm is one that none may serve.
func (e *Explanation) explainKey(ctx context.Context, jws *jose.JWS) {
	if !e.Issuer.allows(e.Algorithm) {
		e.skip("key", "signature")
		return
	}
	found, err := candidates(ctx, jws, e.Issuer, e.Algorithm)
	if _, ok := errors.AsType[Reason](err); err != nil && !ok {
		err = errors.Join(NoKeys, err) // whoever asked left before the keys came
	}
	if !e.note("key", err) {
		e.skip("signature")
		return
	}
	e.Key, err = signedBy(jws, found, e.Algorithm)
	e.note("signature", err)
}

// explainStatus asks the list that a good token names.
func (e *Explanation) explainStatus(ctx context.Context) {
	if e.Token == nil || e.Token.Status.IsZero() {
		return
	}
	if !e.Good() {
		e.skip("status") // nobody is asked about a bad one
		return
	}
	err := checkStatus(ctx, e.Token, e.Issuer)
	if _, ok := errors.AsType[Reason](err); err != nil && !ok {
		err = errors.Join(StatusUnknown, err) // whoever asked left before the list came
	}
	e.note("status", err)
}
