package exchange

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"slices"
	"sync"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// keyVersion begins every key's message; another layout gets another one.
const keyVersion = "te1"

// A cacheKey names one exchange: these bytes of a token, asked for with exactly
// this request. It is a MAC under a key that dies with the process, so that
// nobody who sees one can test a guess.
type cacheKey [sha256.Size]byte

// A fingerprint is the SHA-256 of settings.
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

// A keyPlan is what all keys of one exchanger have in common, laid out once. The
// parts stand before, between and behind the fields that differ from caller to
// caller: the token and its scopes.
type keyPlan struct {
	head, middle, tail []byte
}

// newKeyPlan lays out the fields of a key in a fixed order: exchanger, subject
// token, subject type, actor, audiences, resources, scopes, requested type,
// extra parameters. An exchange without an actor has an empty list there.
// What depends on the attempt alone (a client assertion, a request id) is not in
// a key.
func newKeyPlan(config *Config) keyPlan {
	exchanger := exchangerFingerprint(config)
	var plan keyPlan
	plan.head = appendField([]byte(keyVersion), exchanger[:])
	plan.middle = appendField(plan.middle, config.SubjectType)
	plan.middle = appendList(plan.middle, nil)
	plan.middle = appendList(plan.middle, sorted(config.Audience))
	plan.middle = appendList(plan.middle, sorted(config.Resource))
	plan.tail = appendField(plan.tail, config.RequestedType)
	plan.tail = appendList(plan.tail, paramFields(config.Params))
	return plan
}

// exchangerFingerprint covers who asks whom, and every setting that decides
// which answers are kept: else a stricter exchange would take what a more lenient
// one stored.
func exchangerFingerprint(config *Config) fingerprint {
	message := appendField(nil, grantTokenExchange)
	message = appendList(message, config.Client.Identity())
	message = appendList(message, sorted(config.AcceptIssued))
	message = appendField(message, config.MaxTTL.String())
	return sha256.Sum256(message)
}

func paramFields(params []Param) []string {
	fields := make([]string, 0, len(params))
	for _, param := range params {
		fields = append(fields, string(appendList(nil, []string{param.Name, param.Value})))
	}
	slices.Sort(fields)
	return fields
}

// target names what the success memory keeps apart: one exchanger as it is
// configured, the scopes it may ask for included.
func (p keyPlan) target(scopes []string) fingerprint {
	message := slices.Concat(p.head, p.middle)
	message = appendList(message, sorted(scopes))
	return sha256.Sum256(append(message, p.tail...))
}

// A keyMaker makes keys under a random key of its own.
type keyMaker struct {
	pool sync.Pool
}

// A macScratch is what making one key needs, kept so that making the next
// allocates nothing.
type macScratch struct {
	mac     hash.Hash
	message []byte
	sum     []byte
}

func newKeyMaker() *keyMaker {
	secret := make([]byte, sha256.Size)
	_, _ = rand.Read(secret) // never fails since Go 1.24
	return &keyMaker{pool: sync.Pool{New: func() any {
		return &macScratch{mac: hmac.New(sha256.New, secret)}
	}}}
}

// key makes the key of one request. The digest stands for all bytes of the
// token, asked are the scopes asked for, in order, and bound those that limit
// the answer where none are asked for.
func (m *keyMaker) key(plan *keyPlan, digest *token.Digest, asked, bound []string) cacheKey {
	scratch := m.pool.Get().(*macScratch) //nolint:forcetypeassert // the pool makes nothing else
	message := append(scratch.message[:0], plan.head...)
	message = appendField(message, digest[:])
	message = append(message, plan.middle...)
	message = appendList(message, asked)
	message = appendList(message, bound)
	message = append(message, plan.tail...)
	scratch.mac.Reset()
	_, _ = scratch.mac.Write(message)
	scratch.sum = scratch.mac.Sum(scratch.sum[:0])
	key := cacheKey(scratch.sum)
	scratch.message = message
	m.pool.Put(scratch)
	return key
}
