package jose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrJSON is the base of every error of ParseObject: the text is not the strict
// JSON that JOSE needs. It never quotes the text.
var ErrJSON = errors.New("parsing strict JSON")

// maxDepth bounds how many objects and lists lie within each other inside the
// object. Real tokens nest three or four levels; the bound keeps a hostile one
// from costing a deep recursion.
const maxDepth = 32

var errDepth = fmt.Errorf("%w: nested too deeply", ErrJSON)

// ParseObject reads one JSON object strictly (RFC 8259 with the advice of
// RFC 8725, section 2.4): no duplicate member at any depth, valid UTF-8, nothing
// after the object. Numbers keep their text as json.Number, so that a large
// integer used as an identity does not lose digits.
//
// Values are string, json.Number, bool, nil, map[string]any and []any.
func ParseObject(data []byte) (map[string]any, error) {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data))
	value, err := readValue(dec, 0)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: not an object", ErrJSON)
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: text after the object", ErrJSON)
	}
	return object, nil
}

func readValue(dec *jsontext.Decoder, depth int) (any, error) {
	tok, err := dec.ReadToken()
	if err != nil {
		return nil, jsonError(err)
	}
	switch kind := tok.Kind(); {
	case (kind == '{' || kind == '[') && depth > maxDepth:
		return nil, errDepth
	case kind == '{':
		return readObject(dec, depth)
	case kind == '[':
		return readArray(dec, depth)
	case kind == '"':
		return tok.String(), nil
	case kind == '0':
		return json.Number(tok.String()), nil
	case kind == 't' || kind == 'f':
		return tok.Bool(), nil
	default:
		return nil, nil //nolint:nilnil // JSON null is a value
	}
}

func readObject(dec *jsontext.Decoder, depth int) (any, error) {
	object := make(map[string]any)
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, jsonError(err)
		}
		key := name.String()
		if object[key], err = readValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.ReadToken()
	return object, jsonError(err)
}

func readArray(dec *jsontext.Decoder, depth int) (any, error) {
	array := []any{}
	for dec.PeekKind() != ']' {
		value, err := readValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := dec.ReadToken()
	return array, jsonError(err)
}

// jsonError drops the decoder's own text: it names members of a document that
// nobody has verified yet.
func jsonError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("%w: duplicate member", ErrJSON)
	default:
		return fmt.Errorf("%w: malformed", ErrJSON)
	}
}
