package signing

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// payloadSize is about what a token of a few claims takes.
const payloadSize = 512

// A stamp is what every token has of its own.
type stamp struct {
	id             string
	issued, expiry int64
}

// A writer writes one JSON object. It exists because a token is minted with a
// request: a map of values, made and sorted each time, costs as much as half a
// signature.
type writer struct {
	text []byte
	err  error
}

// payload writes the claims (RFC 9068, section 2.2), which check has seen.
func (m *Minter) payload(purpose Purpose, c *Claims, s stamp) ([]byte, error) {
	w := &writer{text: append(make([]byte, 0, payloadSize), '{')}
	w.textOf("iss", m.issuer)
	w.textOf("sub", c.Subject)
	w.textOf("aud", c.Audience)
	w.number("iat", s.issued)
	w.number("exp", s.expiry)
	w.textOf("jti", s.id)
	w.textOf("txn", c.Transaction)
	if c.Scope != nil {
		w.textOf("scope", strings.Join(c.Scope, " "))
		if len(c.Scope) == 0 {
			w.raw("scope", `""`)
		}
	}
	if purpose == TransactionTokens {
		w.textOf("req_wl", c.Workload)
		w.object("tctx", c.Context)
		w.object("rctx", c.Requester)
	} else {
		w.textOf("client_id", c.Client)
		w.login(c)
		w.textOf(OriginClaim, m.veil.cover(s.id, c.Origin))
	}
	w.subjectID(c.SubjectID)
	w.object("act", c.Act)
	w.confirmation(c.Confirmation)
	w.members(c.Extra)
	return append(w.text, '}'), w.err
}

func (w *writer) login(c *Claims) {
	if !c.AuthTime.IsZero() {
		w.number("auth_time", c.AuthTime.Unix())
	}
	w.textOf("acr", c.ACR)
	if len(c.AMR) > 0 {
		w.value("amr", c.AMR)
	}
}

func (w *writer) subjectID(id SubjectID) {
	if id.Subject == "" {
		return
	}
	w.open("sub_id")
	w.textOf("format", "iss_sub")
	w.textOf("iss", id.Issuer)
	w.textOf("sub", id.Subject)
	w.close()
}

func (w *writer) confirmation(c token.Confirmation) {
	if c.IsZero() {
		return
	}
	w.open("cnf")
	w.thumbprint("jkt", c.Key)
	w.thumbprint("x5t#S256", c.Certificate)
	w.close()
}

func (w *writer) thumbprint(name string, thumb token.Thumbprint) {
	if !thumb.IsZero() {
		w.textOf(name, base64.RawURLEncoding.EncodeToString(thumb[:]))
	}
}

// open begins a member that is an object, close ends it.
func (w *writer) open(name string) {
	w.known(name)
	w.text = append(w.text, '{')
}

func (w *writer) close() { w.text = append(w.text, '}') }

// known begins a member whose name is one of the gateway's own, with nothing in it to
// escape.
func (w *writer) known(name string) {
	w.next()
	w.text = append(append(append(w.text, '"'), name...), '"', ':')
}

// name begins a member.
func (w *writer) name(name string) {
	w.next()
	w.quote(name)
	w.text = append(w.text, ':')
}

// next parts a member from the one before.
func (w *writer) next() {
	if w.text[len(w.text)-1] != '{' {
		w.text = append(w.text, ',')
	}
}

func (w *writer) quote(text string) {
	quoted, err := jsontext.AppendQuote(w.text, text)
	w.fail(err)
	w.text = quoted
}

func (w *writer) textOf(name, value string) {
	if value == "" {
		return
	}
	w.known(name)
	w.quote(value)
}

func (w *writer) number(name string, value int64) {
	w.known(name)
	w.text = strconv.AppendInt(w.text, value, 10)
}

func (w *writer) raw(name, value string) {
	w.known(name)
	w.text = append(w.text, value...)
}

func (w *writer) object(name string, value map[string]any) {
	if len(value) > 0 {
		w.value(name, value)
	}
}

func (w *writer) value(name string, value any) {
	w.name(name)
	w.json(value)
}

// json writes texts and objects, which nearly all claims are, without the encoder's
// reflection.
func (w *writer) json(value any) {
	switch value := value.(type) {
	case string:
		w.quote(value)
	case map[string]any:
		w.text = append(w.text, '{')
		w.members(value)
		w.close()
	default:
		w.encoded(value)
	}
}

// fewMembers is how many members an object has at most whose names need no memory of
// their own.
const fewMembers = 8

// members writes those of an object, in the order of their names: the same claims make
// the same text.
func (w *writer) members(object map[string]any) {
	var space [fewMembers]string
	names := slices.AppendSeq(space[:0], maps.Keys(object))
	slices.Sort(names)
	for _, name := range names {
		w.value(name, object[name])
	}
}

// encoded writes < > & as they are: in HTML nobody puts a token, and six octets for
// each would make a long claim one that no header takes.
func (w *writer) encoded(value any) {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	w.fail(encoder.Encode(value))
	w.text = append(w.text, strings.TrimSuffix(text.String(), "\n")...)
}

// fail keeps the first error. It names no value.
func (w *writer) fail(err error) {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("%w: a claim cannot be written as JSON", ErrClaims)
	}
}
