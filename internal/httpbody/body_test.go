package httpbody_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/caddy-gatehouse/gatehouse/internal/httpbody"
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		size, left int
		fits       bool
	}{
		"nothing":           {0, 0, true},
		"all that may be":   {100, 0, true},
		"one octet more":    {101, 0, false},
		"much more":         {5000, 0, false},
		"more than is read": {101 + 256<<10 + 7, 7, false},
	} {
		source := strings.NewReader(strings.Repeat("a", c.size))
		body, fits, err := httpbody.Read(source, 100)
		if err != nil || fits != c.fits || source.Len() != c.left || fits && len(body) != c.size {
			t.Errorf("%s: %d octets, fits %v, %d left, %v", name, len(body), fits, source.Len(), err)
		}
	}
}

func TestReadFails(t *testing.T) {
	broken := errors.New("broken")
	_, fits, err := httpbody.Read(io.MultiReader(strings.NewReader("a"), iotest.ErrReader(broken)), 100)
	if fits || !errors.Is(err, broken) {
		t.Errorf("fits %v, %v", fits, err)
	}
}
