package exchange

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/caddy-gatehouse/gatehouse/store"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// secondVersion begins every value. What begins otherwise is of another release, and
// as good as not there.
const secondVersion = 1

// maxSecondScopes bounds the scopes of a value.
const maxSecondScopes = 1024

// A secondValue is an issued token as nodes give it to each other. It holds nothing of
// the caller's token: whoever finds it has shown that very token, since the name is
// made of it.
type secondValue struct {
	token  string
	id     string
	scope  []string // nil: nobody said
	expiry time.Time
	sent   time.Time
	keep   time.Time // until
}

var errSecondValue = errors.New("not a value of this release")

// encode writes a value together with its name: whatever a store mixes up, nobody is
// handed what belongs to another one.
func (v *secondValue) encode(name secondName) []byte {
	value := append(make([]byte, 0, len(v.token)+len(name)+usualKey), secondVersion)
	value = append(value, name[:]...)
	for _, at := range []time.Time{v.sent, v.keep, v.expiry} {
		value = binary.BigEndian.AppendUint64(value, uint64(at.UnixMilli()))
	}
	value = appendField(value, v.token)
	value = appendField(value, v.id)
	if v.scope == nil {
		return append(value, 0)
	}
	return appendList(append(value, 1), v.scope)
}

// decodeSecond reads a value. It takes what encode writes and nothing else.
func decodeSecond(name secondName, data []byte) (*secondValue, error) {
	r := &secondReader{rest: data}
	version, named := r.take(1), r.take(len(name))
	if r.failed || version[0] != secondVersion || secondName(named) != name {
		return nil, errSecondValue
	}
	v := &secondValue{sent: r.time(), keep: r.time(), expiry: r.time()}
	v.token, v.id = r.text(maxIssued), r.text(maxID)
	switch flag := r.take(1); {
	case r.failed:
	case flag[0] == 1:
		v.scope = r.list(maxSecondScopes)
	case flag[0] != 0:
		r.failed = true
	}
	if r.failed || len(r.rest) > 0 || !v.plausible() {
		return nil, errSecondValue
	}
	return v, nil
}

// plausible tells whether a header can carry the token, and whether the times are in
// their order.
func (v *secondValue) plausible() bool {
	return v.token != "" && visible(v.token) && (v.id == "" || visible(v.id)) &&
		v.sent.Before(v.keep) && !v.keep.After(v.expiry)
}

// life is how long the token serves here: as long as the node that got it lets it, and
// never past the caps of this one.
func (v *secondValue) life(caps ...time.Time) lifetime {
	life := lifetime{sent: v.sent, expiry: v.expiry, keepUntil: v.keep}
	for _, limit := range caps {
		life.keepUntil = earliest(life.keepUntil, limit)
	}
	life.freshUntil = life.keepUntil.Add(-margin(life.keepUntil.Sub(life.sent)))
	return life
}

// issued is the token as this exchange hands it out.
func (v *secondValue) issued(scheme string) *Issued {
	issued := &Issued{Scope: v.scope, Expiry: v.expiry, ID: v.id, Cached: true}
	issued.Token, issued.Credential = token.NewRaw(v.token).Behind(scheme)
	return issued
}

func secondOf(issued *Issued, life lifetime) *secondValue {
	return &secondValue{
		token: issued.Token.Reveal(), id: issued.ID, scope: issued.Scope,
		sent: life.sent, keep: life.keepUntil, expiry: life.expiry,
	}
}

// A secondReader takes a value apart. Once something is missing it gives nothing more.
type secondReader struct {
	rest   []byte
	failed bool
}

func (r *secondReader) take(length int) []byte {
	if r.failed || length > len(r.rest) {
		r.failed = true
		return nil
	}
	taken := r.rest[:length]
	r.rest = r.rest[length:]
	return taken
}

func (r *secondReader) number() int {
	taken := r.take(4) //nolint:mnd // as appendField writes it
	if r.failed {
		return 0
	}
	return int(binary.BigEndian.Uint32(taken))
}

func (r *secondReader) text(most int) string {
	length := r.number()
	if length > most {
		r.failed = true
	}
	return string(r.take(length))
}

func (r *secondReader) list(most int) []string {
	count := r.number()
	if count > most {
		r.failed = true
	}
	texts := make([]string, 0, min(count, len(r.rest)/4)) //nolint:mnd // each has a length before it
	for range count {
		if r.failed {
			return nil
		}
		texts = append(texts, r.text(store.MaxValue))
	}
	return texts
}

func (r *secondReader) time() time.Time {
	taken := r.take(8) //nolint:mnd // milliseconds
	if r.failed {
		return time.Time{}
	}
	at := binary.BigEndian.Uint64(taken)
	if at > maxEpoch*1000 { //nolint:mnd // likewise
		r.failed = true
		return time.Time{}
	}
	return time.UnixMilli(int64(at))
}
