package jose

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// An Object is a JSON object that was read strictly and is kept as its text. It
// is for what is remembered for long: a map of values is some sixty allocations,
// which the garbage collector visits again in every cycle; this is two. It is
// immutable, and the zero value has no members.
type Object struct {
	text    string
	members []member
}

// A member's value is JSON text, a part of the object's.
type member struct{ name, value string }

// ReadObject accepts what ParseObject accepts and fails as it does.
func ReadObject(data []byte) (Object, error) {
	object := Object{text: string(data)}
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	if tok, err := dec.ReadToken(); err != nil || tok.Kind() != '{' {
		return Object{}, fmt.Errorf("%w: not an object", ErrJSON)
	}
	object.members = make([]member, 0, strings.Count(object.text, `":`))
	for dec.PeekKind() != '}' {
		name, err := object.next(dec)
		if err != nil {
			return Object{}, err
		}
		value, err := object.next(dec)
		if err != nil {
			return Object{}, err
		}
		object.members = append(object.members, member{name: unquote(name), value: value})
	}
	if _, err := dec.ReadToken(); err != nil {
		return Object{}, jsonError(err)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return Object{}, fmt.Errorf("%w: text after the object", ErrJSON)
	}
	return object, nil
}

// next returns the text of the next name or value.
func (o Object) next(dec *jsontext.Decoder) (string, error) {
	raw, err := dec.ReadValue()
	if err != nil {
		return "", jsonError(err)
	}
	end := int(dec.InputOffset())
	text := o.text[end-len(raw) : end]
	if depth(text) > maxDepth {
		return "", errDepth
	}
	return text, nil
}

// depth is how many objects and lists lie within each other in a JSON text. It
// counts brackets, which is much cheaper than to read what nobody may ask for.
func depth(text string) int {
	level, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

func parseNested(text string) (any, error) {
	return readValue(jsontext.NewDecoder(bytes.NewBufferString(text)), 1)
}

// unquote returns the string that a JSON string stands for.
func unquote(text string) string {
	if !strings.Contains(text, `\`) {
		return text[1 : len(text)-1]
	}
	plain, _ := jsontext.AppendUnquote(nil, text) // it was read before
	return string(plain)
}

// Has tells whether there is a member of that name, null included.
func (o Object) Has(name string) bool {
	_, ok := o.find(name)
	return ok
}

// Filled tells whether there is a member of that name with something in it: not
// null, not an empty text, list or object.
func (o Object) Filled(name string) bool {
	text, ok := o.find(name)
	if !ok {
		return false
	}
	switch text[0] {
	case 'n':
		return false
	case '"', '[', '{':
		return strings.TrimLeft(text[1:len(text)-1], " \t\r\n") != "" || (text[0] == '"' && len(text) > 2)
	default:
		return true
	}
}

// Text returns the value of a member that is a text; ok is false if it is
// something else or absent.
func (o Object) Text(name string) (value string, ok bool) {
	text, found := o.find(name)
	if !found || text[0] != '"' {
		return "", false
	}
	return unquote(text), true
}

// Get returns the value of a member as ParseObject would. It is made anew each
// time, so the caller may keep it.
func (o Object) Get(name string) (any, bool) {
	text, ok := o.find(name)
	if !ok {
		return nil, false
	}
	switch text[0] {
	case '"':
		return unquote(text), true
	case 't', 'f':
		return text == "true", true
	case 'n':
		return nil, true
	case '{', '[':
		value, err := parseNested(text)
		return value, err == nil
	default:
		return json.Number(text), true
	}
}

// find looks through all: there are a dozen, and most are told apart by their
// length.
func (o Object) find(name string) (text string, ok bool) {
	for i := range o.members {
		if o.members[i].name == name {
			return o.members[i].value, true
		}
	}
	return "", false
}

// Names are the names of the members, in the order of the text.
func (o Object) Names() []string {
	names := make([]string, len(o.members))
	for i := range o.members {
		names[i] = o.members[i].name
	}
	return names
}

// Sum is the SHA-256 of the object's text.
func (o Object) Sum() [sha256.Size]byte { return sha256.Sum256([]byte(o.text)) }

// Size is about how many bytes of memory the object takes.
func (o Object) Size() int {
	const perMember = 32 // two strings, which point into the text
	return len(o.text) + perMember*cap(o.members)
}
