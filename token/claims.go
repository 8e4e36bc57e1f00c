package token

import (
	"encoding/json"
	"strings"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// actors is the claim with the current actor, and the member of it with the former ones.
const actors = "act"

// Claims are the claims of a token, kept as their text: a remembered token is
// to cost little memory and the garbage collector little time. They are
// immutable.
type Claims struct {
	jose.Object
}

// ParseClaims reads a token's payload strictly; see jose.ParseObject for the
// values and the error.
func ParseClaims(payload []byte) (Claims, error) {
	object, err := jose.ReadObject(payload)
	return Claims{Object: object}, err
}

// Lookup finds a claim. The path is first tried as one whole claim name
// (https://app.example/roles), then split at dots (realm_access.roles); it is a
// JSON Pointer (RFC 6901) when it begins with a slash.
//
// Who asks by a path decides by the answer, so former actors are not found, neither
// by themselves nor within act: access control considers none but the current one
// (RFC 8693, section 4.1). Get has them all, for the record and the chain of a new token.
func (c Claims) Lookup(path string) (any, bool) {
	if strings.HasPrefix(path, "/") {
		return c.walk(strings.Split(path[1:], "/"), pointerUnescape)
	}
	if value, ok := c.decisive(path); ok {
		return value, true
	}
	if !strings.Contains(path, ".") {
		return nil, false
	}
	return c.walk(strings.Split(path, "."), func(name string) string { return name })
}

// decisive is Get without former actors. What Get returns was made for this call.
func (c Claims) decisive(name string) (any, bool) {
	value, ok := c.Get(name)
	if act, isObject := value.(map[string]any); isObject && name == actors {
		delete(act, actors)
	}
	return value, ok
}

// FormerActor tells whether a path leads to a former actor, which Lookup never finds.
func FormerActor(path string) bool {
	return strings.HasPrefix(path+".", "act.act.") || strings.HasPrefix(path+"/", "/act/act/")
}

// filled tells whether there is a claim with something in it. That of a claim by
// its whole name is told without reading it, but for that of the actors: former ones
// do not fill it.
func (c Claims) filled(path string) bool {
	if !strings.HasPrefix(path, "/") && path != actors && c.Has(path) {
		return c.Filled(path)
	}
	value, _ := c.Lookup(path)
	switch value := value.(type) {
	case nil:
		return false
	case string:
		return value != ""
	case []any:
		return len(value) > 0
	case map[string]any:
		return len(value) > 0
	default:
		return true
	}
}

func pointerUnescape(name string) string {
	// RFC 6901, section 4: this order, so that ~01 becomes ~1 and not a slash.
	return strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
}

func (c Claims) walk(names []string, name func(string) string) (any, bool) {
	value, ok := c.decisive(name(names[0]))
	if !ok {
		return nil, false
	}
	for _, step := range names[1:] {
		switch container := value.(type) {
		case map[string]any:
			next, ok := container[name(step)]
			if !ok {
				return nil, false
			}
			value = next
		case []any:
			index, ok := arrayIndex(step, len(container))
			if !ok {
				return nil, false
			}
			value = container[index]
		default:
			return nil, false
		}
	}
	return value, true
}

// arrayIndex reads an array index as RFC 6901, section 4, spells it: digits
// without a leading zero.
func arrayIndex(text string, length int) (int, bool) {
	if text == "" || (len(text) > 1 && text[0] == '0') {
		return 0, false
	}
	index := 0
	for _, digit := range text {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		index = index*10 + int(digit-'0')
		if index >= length {
			return 0, false
		}
	}
	return index, true
}

// Texts returns a claim as a list of texts: the claim itself if it is a text, a
// number or a boolean, else its elements of these kinds. Elements of other kinds
// are passed over: they equal no text that a rule could name.
func (c Claims) Texts(path string) []string {
	value, ok := c.Lookup(path)
	if !ok {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	texts := make([]string, 0, len(list))
	for _, element := range list {
		if text, ok := scalarText(element); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

func scalarText(value any) (string, bool) {
	switch scalar := value.(type) {
	case string:
		return scalar, true
	case json.Number:
		return scalar.String(), true
	case bool:
		if scalar {
			return "true", true
		}
		return "false", true
	default:
		return "", false
	}
}
