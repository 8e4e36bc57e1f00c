package admin

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Of a body that is too long the rest is read as well, so that whoever sends it sees the
// answer, and what fits of it does not count.
func TestLongBodiesAreReadToTheirEnd(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		most int
		read func(*http.Request) error
		want error
	}{
		"orders": {`{"kind": "jti", "issuer": "main", "value": "a"}`, maxBody, func(r *http.Request) error {
			_, err := readEvents(r, trusted, time.Now())
			return err
		}, errBadOrder},
		"a key to retire": {`{"kid": "a"}`, maxKidBody, func(r *http.Request) error {
			_, err := new(API).retireKey(r, nil)
			return err
		}, errBadKid},
	} {
		t.Run(name, func(t *testing.T) {
			body := strings.NewReader(test.text + strings.Repeat(" ", test.most))
			err := test.read(httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body))
			if !errors.Is(err, test.want) || body.Len() != 0 {
				t.Errorf("%v, and %d octets are left", err, body.Len())
			}
		})
	}
}
