package admin

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/revocation"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// Bounds of what an order may say.
const (
	maxText   = 1024
	maxValue  = 64 << 10 // as long as what an introspection endpoint answers
	maxReason = 256
	maxLife   = revocation.MaxLife
	// maxAhead is how far before may lie in the future: an issuer's clock may be ahead.
	maxAhead = 2 * time.Minute
)

// errBadOrder says that an order to revoke, or a query, is not one. No text behind it
// quotes what was sent: it may hold a token in any place.
var errBadOrder = errors.New("the request is not valid")

// tooEarly is what is wrong with a date that no token can have, such as the year 1: a
// program that has none may write that, and does not mean all of time.
const tooEarly = "it lies before 1970"

func bad(member, mend string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", errBadOrder, member, fmt.Sprintf(mend, args...))
}

// An order is what POST /gatehouse/revocations is asked to revoke: a kind and a
// value, or a token.
type order struct {
	kind                  revocation.Kind
	issuer, value, reason string
	token                 token.Raw
	before                string // "", now or a time
	all                   bool
	life                  time.Duration // zero if it is not said
	until                 time.Time     // zero if it is not said
}

// namable are the kinds that an order may name, in the order of messages.
var namable = []revocation.Kind{
	revocation.KindID, revocation.KindSubject, revocation.KindSession, revocation.KindClient, revocation.KindIssuer,
	revocation.KindKey, revocation.KindToken,
}

var orderMembers = []string{"kind", "issuer", "value", "token", "before", "all", "for", "until", "reason"}

// readOrder reads one order strictly. Whoever mistypes a member must not revoke less
// than was meant.
func readOrder(data []byte) (order, error) {
	object, err := jose.ReadObject(data)
	if err != nil {
		return order{}, bad("body", "not a JSON object, or one with a member twice")
	}
	for _, name := range object.Names() {
		if !slices.Contains(orderMembers, name) {
			return order{}, bad("body", "an unknown member: known are %s", strings.Join(orderMembers, ", "))
		}
	}
	reader := orderReader{object: object}
	found := order{
		kind: revocation.Kind(reader.text("kind", maxText)), issuer: reader.text("issuer", maxText),
		value: reader.any("value", maxValue), reason: reader.text("reason", maxReason),
		before: reader.text("before", maxText), all: reader.flag("all"),
		life: reader.duration("for"), until: reader.time("until"),
	}
	if text := reader.text("token", token.MaxLength); text != "" {
		found.token = token.NewRaw(text)
	}
	if reader.err != nil {
		return order{}, reader.err
	}
	if err := found.contradiction(); err != nil {
		return order{}, err
	}
	return found, nil
}

// contradiction finds what no member shows alone.
func (o *order) contradiction() error {
	switch {
	case o.life != 0 && !o.until.IsZero():
		return bad("until", "there is for as well: write one of them")
	case o.all && o.before != "":
		return bad("all", "there is before as well: write one of them")
	case !o.token.IsZero():
		return o.tokenContradiction()
	}
	if err := o.unnamed(); err != nil {
		return err
	}
	return o.misnamed()
}

// unnamed finds what is missing where no token is given.
func (o *order) unnamed() error {
	switch {
	case o.kind == "":
		return bad("kind", "it is missing: write one of %s, or token alone", kindNames())
	case !slices.Contains(namable, o.kind):
		return bad("kind", "there is no such kind: write one of %s", kindNames())
	case o.issuer == "":
		return bad("issuer", "it is missing: write the name of an issuer block, or its URL")
	case o.kind != revocation.KindIssuer && o.value == "":
		return bad("value", "it is missing: write the %s that is no longer good", o.kind)
	}
	return nil
}

// misnamed finds a value that does not go with its kind.
func (o *order) misnamed() error {
	switch {
	case o.kind == revocation.KindIssuer && o.value != "":
		return bad("value", "kind issuer has none: leave it out")
	case o.single() && (o.before != "" || o.all):
		return bad("before", "kind %s is one token, whenever it was issued: leave before and all out", o.kind)
	case o.kind == revocation.KindToken && !isDigest(o.value):
		return bad("value", "kind token takes the SHA-256 of a token in base64url: write the token itself as token")
	case token.NewRaw(o.value).LooksLikeJWT():
		return bad("value", "it looks like a token, and what is listed is no secret: write it as token")
	}
	return nil
}

func (o *order) tokenContradiction() error {
	switch {
	case o.kind != "" || o.value != "":
		return bad("token", "there is kind or value as well: a token says itself what it is")
	case o.before != "" || o.all:
		return bad("before", "a token is one token, whenever it was issued: leave before and all out")
	}
	return nil
}

// single tells whether the order is about one token.
func (o *order) single() bool {
	return o.kind == revocation.KindID || o.kind == revocation.KindToken
}

func kindNames() string {
	names := make([]string, len(namable))
	for i, kind := range namable {
		names[i] = string(kind)
	}
	return strings.Join(names, ", ")
}

func isDigest(value string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(value)
	return err == nil && len(sum) == len(token.Digest{})
}

// An orderReader reads members by their type and keeps the first complaint.
type orderReader struct {
	object jose.Object
	err    error
}

func (r *orderReader) fail(member, mend string, args ...any) {
	if r.err == nil {
		r.err = bad(member, mend, args...)
	}
}

func (r *orderReader) text(member string, longest int) string {
	text := r.any(member, longest)
	if strings.ContainsFunc(text, unicode.IsControl) {
		r.fail(member, "it holds a control character")
	}
	return text
}

// any is a text that may hold control characters.
func (r *orderReader) any(member string, longest int) string {
	if !r.object.Has(member) {
		return ""
	}
	text, ok := r.object.Text(member)
	switch {
	case !ok:
		r.fail(member, "not a text")
	case text == "":
		r.fail(member, "empty: leave it out, or write something")
	case len(text) > longest:
		r.fail(member, "longer than %d octets", longest)
	}
	return text
}

func (r *orderReader) flag(member string) bool {
	value, present := r.object.Get(member)
	flag, ok := value.(bool)
	if present && !ok {
		r.fail(member, "neither true nor false")
	}
	return flag
}

func (r *orderReader) duration(member string) time.Duration {
	text := r.text(member, maxText)
	if text == "" {
		return 0
	}
	life, err := caddy.ParseDuration(text)
	if err != nil || life <= 0 || life > maxLife {
		r.fail(member, "not a duration such as 12h or 30d, more than nothing and at most %dd", maxLife/(24*time.Hour))
	}
	return life
}

func (r *orderReader) time(member string) time.Time {
	text := r.text(member, maxText)
	if text == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		r.fail(member, "not a time such as 2027-01-31T12:00:00Z")
	case at.Unix() < 0:
		r.fail(member, tooEarly)
	}
	return at
}
