package exchange

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// keyVersion begins every key's message; another layout gets another one.
const keyVersion = "te1"

// A cacheKey names one exchange: these bytes of a token, asked for with exactly
// this request. It is a MAC under a key that dies with the process, so that
// nobody who sees one can test a guess.
type cacheKey [sha256.Size]byte

// A fingerprint is the SHA-256 of settings, each behind its length.
type fingerprint [sha256.Size]byte

// appendField appends a text behind its length, so that no two lists of texts
// make the same bytes whatever separators they hold.
func appendField[T string | []byte](message []byte, field T) []byte {
	message = binary.BigEndian.AppendUint32(message, uint32(len(field))) //nolint:gosec // bounded by the request
	return append(message, field...)
}

// appendList appends a count and the elements, so that none can move from one
// list into the next.
func appendList(message []byte, elements []string) []byte {
	message = binary.BigEndian.AppendUint32(message, uint32(len(elements))) //nolint:gosec // bounded by the request
	for _, element := range elements {
		message = appendField(message, element)
	}
	return message
}

// sorted returns the texts in order and each once: their order means nothing to
// a server, and must not to a key.
func sorted(texts []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(texts)))
}

// settingsOf covers every setting that shapes requests or decides which answers
// are kept and how: for each leg who asks whom, subject type, actor, audiences,
// resources, requested type, extra parameters and what is accepted, and then for
// how long and the scheme; else a stricter exchange would take what a more
// lenient one stored. An actor has its stable name there and not its token, which
// is another one each time. What depends on one attempt alone (a client assertion,
// a request id) is not a setting.
//
// It is worked out once, so that a key costs no more than its token and scopes.
func settingsOf(config Config) fingerprint {
	message := appendLegs([]byte(keyVersion), config.legs())
	message = appendField(message, config.MaxTTL.String())
	message = appendField(message, config.Scheme)
	message = appendList(message, config.Local.fields())
	return sha256.Sum256(message)
}

// prefixOf covers the first legs of an exchange, whose result the next is fed
// with.
func prefixOf(config Config, legs int) fingerprint {
	message := appendLegs(appendField([]byte(keyVersion), "prefix"), config.legs()[:legs])
	return sha256.Sum256(appendField(message, config.MaxTTL.String()))
}

func appendLegs(message []byte, legs []Leg) []byte {
	message = binary.BigEndian.AppendUint32(message, uint32(len(legs))) //nolint:gosec // a configuration has few
	for _, leg := range legs {
		message = appendLeg(message, leg)
	}
	return message
}

func appendLeg(message []byte, l Leg) []byte {
	message = appendField(message, string(l.grant()))
	if l.Client != nil {
		message = appendList(message, l.Client.Identity())
	}
	message = appendField(message, l.SubjectType)
	message = appendList(message, l.Actor.name())
	message = appendList(message, sorted(l.Audience))
	message = appendList(message, sorted(l.Resource))
	message = appendField(message, l.RequestedType)
	message = appendList(message, paramFields(l.Params))
	message = appendList(message, sorted(l.Accept.Issued))
	message = appendList(message, sorted(l.Accept.TokenTypes))
	message = appendField(message, l.Accept.VerifyIssuer)
	wider := "narrow"
	if l.Accept.WiderScope {
		wider = "wider"
	}
	return appendField(message, wider)
}

func paramFields(params []Param) []string {
	fields := make([]string, 0, len(params))
	for _, param := range params {
		fields = append(fields, string(appendList(nil, []string{param.Name, param.Value})))
	}
	slices.Sort(fields)
	return fields
}

// targetOf names what the success memory keeps apart: one exchange as it is
// configured, the scopes it may ask for included.
func targetOf(settings fingerprint, scopes []string) fingerprint {
	return sha256.Sum256(appendList(settings[:], sorted(scopes)))
}

// A keyMaker makes keys under a random secret of its own.
type keyMaker struct {
	secret [sha256.Size]byte
}

func newKeyMaker() *keyMaker {
	maker := new(keyMaker)
	_, _ = rand.Read(maker.secret[:]) // never fails since Go 1.24
	return maker
}

// usualKey is room for the message of most keys, so that making one allocates
// nothing.
const usualKey = 512

// key makes the key of one request: the settings, the token (its digest stands
// for all its bytes), the scopes asked for, in order, and those that bound the
// answer where none are asked for.
func (m *keyMaker) key(settings *fingerprint, digest *token.Digest, asked, bound []string) cacheKey {
	return m.boundKey(settings, digest, asked, bound, "")
}

// boundKey makes the key of a request for a token that is bound to a key of the
// gateway's, named by binding.
func (m *keyMaker) boundKey(
	settings *fingerprint, digest *token.Digest, asked, bound []string, binding string,
) cacheKey {
	var space [usualKey]byte
	message := append(space[:0], m.secret[:]...)
	return sha256.Sum256(appendQuestion(message, settings, digest, asked, bound, binding))
}

// appendQuestion appends all that tells one request for a token from another.
func appendQuestion(
	message []byte, settings *fingerprint, digest *token.Digest, asked, bound []string, binding string,
) []byte {
	message = append(message, keyVersion...)
	message = appendField(message, settings[:])
	message = appendField(message, digest[:])
	message = appendList(message, asked)
	message = appendList(message, bound)
	return appendField(message, binding)
}

// key names the exchange for this caller. space is memory for the scopes asked
// for, those of each leg behind an empty one.
func (x *Exchanger) key(space []string, caller Caller) (cacheKey, error) {
	asked, lacking := x.asks(space, caller)
	if lacking != nil {
		// Asking for no scope would make many servers grant their default.
		failure := newError(OutcomeInsufficientScope, errNoScope)
		failure.Scope = lacking.Scope
		return cacheKey{}, failure
	}
	bound, err := x.config.Bind.name()
	if err != nil {
		return cacheKey{}, newError(OutcomeFault, err)
	}
	return x.state.keys.boundKey(&x.settings, x.digest(caller), asked, x.bound(caller.Token), bound), nil
}

// noDigest stands for the caller where all get the same token.
var noDigest token.Digest

func (x *Exchanger) digest(caller Caller) *token.Digest {
	if x.forAll() {
		return &noDigest
	}
	return &caller.Token.Digest
}

// bound is what the answer's scope must lie within where nothing is asked for:
// what the caller holds. It depends on where the configuration finds scopes in a
// token, so the token alone does not tell it.
func (x *Exchanger) bound(caller *token.Token) []string {
	if !x.bounded || caller == nil {
		return nil
	}
	return caller.Scopes
}

// derive makes the key of something that belongs to an exchange beside its result.
func (k cacheKey) derive(what string, digest token.Digest) cacheKey {
	message := appendField(k[:], what)
	return sha256.Sum256(appendField(message, digest[:]))
}

// replacing names the flight that replaces a token that was refused.
func (k cacheKey) replacing(refused *Issued) cacheKey {
	return k.derive("replace", refused.Token.Digest())
}
