package jose_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// objects are texts that ReadObject and ParseObject must agree on, good and bad.
var objects = []string{
	`{}`, ` { } `, `{"a":1}`, "{ \"a\" :\n1 , \"b\": [ ] }",
	`{"iss":"https://idp.example","aud":["a","b"],"exp":1.5e9,"ok":true,"no":false,"nothing":null}`,
	`{"a\u0062":"c\u0064\n","é":"ü","":""}`, `{"o":{"p":{"q":[1,"2",{"r":null}]}}}`,
	`{"a":1,"\u0061":2}`, `{"o":{"a":1,"a":2}}`, `{"o":[{"a":1,"a":2}]}`,
	`{"a":1}x`, `{"a":1}{}`, `{"a":1,}`, `{"a"}`, `{"a":}`, `{`, ``, `[]`, `"a"`, `null`, `{'a':1}`, `{a:1}`, `{1:2}`,
	`{"a":"` + "\xff" + `"}`, `{"` + "\xff" + `":1}`, `{"a":01}`, `{"a":"\x"}`, `{"a":"\ud800"}`,
	`{"a":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`,
	`{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + `}`,
	`{"a":` + strings.Repeat("[", 32) + `"\"[["` + strings.Repeat("]", 32) + `}`,
	`{"a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`,
	`{"a":` + strings.Repeat(`{"a":`, 33) + `1` + strings.Repeat("}", 33) + `}`,
}

func TestReadObjectAgreesWithParseObject(t *testing.T) {
	accepted := 0
	for _, text := range objects {
		if compareObject(t, text) {
			accepted++
		}
	}
	if accepted < 8 || accepted > len(objects)-8 {
		t.Errorf("%d of %d texts are accepted: one side is hardly tested", accepted, len(objects))
	}
}

func FuzzReadObject(f *testing.F) {
	for _, text := range objects {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { compareObject(t, text) })
}

// compareObject tells whether both accept the text, and fails the test where
// they differ.
func compareObject(t *testing.T, text string) bool {
	t.Helper()
	want, wantErr := jose.ParseObject([]byte(text))
	got, gotErr := jose.ReadObject([]byte(text))
	if (wantErr == nil) != (gotErr == nil) {
		t.Errorf("%q: ParseObject says %v, ReadObject %v", text, wantErr, gotErr)
		return false
	}
	for name, value := range want {
		found, ok := got.Get(name)
		text, isText := value.(string)
		if got, ok := got.Text(name); got != text || ok != isText {
			t.Errorf("%q: member %q: got text %q, %v", text, name, got, ok)
		}
		// Not go-cmp: it takes exponential time over deep nesting.
		if !ok || !reflect.DeepEqual(found, value) || !got.Has(name) {
			t.Errorf("%q: member %q: got %#v, %v, want %#v", text, name, found, ok, value)
		}
	}
	if _, known := want["missing"]; !known && got.Has("missing") {
		t.Errorf("%q has a member that is not there", text)
	}
	if got.Size() < len(text) && wantErr == nil {
		t.Errorf("%q weighs %d", text, got.Size())
	}
	return wantErr == nil
}
