package exchange

import "testing"

func TestHandsBack(t *testing.T) {
	const callers = "eyJhIjoxfQ.eyJiIjoyfQ.c2ln"
	for issued, want := range map[string]bool{
		callers:                      true,
		callers + "=":                true,
		"x" + callers:                true,
		callers[:len(callers)-1]:     true,
		"eyJhIjoxfQ.eyJiIjozfQ.c2ln": false,
		"opaque":                     false,
	} {
		if got := handsBack(issued, callers); got != want {
			t.Errorf("%s: %v", issued, got)
		}
	}
	if !handsBack("opaque", "opaque") || handsBack("opaque2", "opaque") {
		t.Error("an opaque token is compared whole")
	}
}
