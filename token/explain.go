package token

import (
	"context"
	"errors"

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
	// Name is short and stable: format, issuer, claims, algorithm, type, kind,
	// binding, expiry, not_before, issued_at, age, audience, profile,
	// required_claims, key, signature.
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

// Explain checks a token as Verify does and goes on after a failure wherever
// there is something left to check, for a person who asks why. It remembers
// nothing, and asks for keys as Verify does.
func (v *Verifier) Explain(ctx context.Context, raw Raw) Explanation {
	var e Explanation
	e.Header, _ = jose.ReadHeader(raw.Reveal())
	text, opener, err := v.decrypt(raw.Reveal())
	var jws *jose.JWS
	var claims Claims
	if err == nil {
		jws, claims, err = parse(text)
	}
	if !e.note("format", err) {
		e.skip("issuer", "claims", "algorithm")
		e.skip(checkNames()...)
		e.skip("key", "signature")
		return e
	}
	e.Claims, e.Algorithm = claims, jose.Algorithm(jws.Header.Algorithm)
	issuer, err := v.choose(claims)
	if err == nil {
		_, err = issuer.opens(raw, opener)
	}
	if !e.note("issuer", err) {
		// Nothing is checked by the rules of nobody: only the shape of the claims is
		// the same for all.
		_, err := read(raw.Digest(), jws.Header.Type, claims, ClaimPaths{})
		e.note("claims", err)
		e.skip("algorithm")
		e.skip(checkNames()...)
		e.skip("key", "signature")
		return e
	}
	e.Issuer = issuer.Issuer
	v.explainClaims(&e, raw, jws)
	e.explainKey(ctx, jws)
	return e
}

func checkNames() []string {
	names := make([]string, len(checks))
	for i := range checks {
		names[i] = checks[i].name
	}
	return names
}

// explainClaims asks what Verify asks before it looks for a key.
func (v *Verifier) explainClaims(e *Explanation, raw Raw, jws *jose.JWS) {
	parsed, err := read(raw.Digest(), jws.Header.Type, e.Claims, e.Issuer.Claims)
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
	at := moment{now: v.now(), audience: v.audience, bindings: v.bindings}
	for _, check := range checks {
		e.note(check.name, check.ask(parsed, e.Issuer, at))
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
