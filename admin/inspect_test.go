package admin

import (
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/go-cmp/cmp"
)

func TestChosenDoorsAreInOrder(t *testing.T) {
	doors := []Door{{Place: "b:2"}, {Place: "a:151"}, {Place: ""}, {Place: "a:59"}, {Place: "a:9"}}
	var got []string
	for _, door := range chosen(doors, "") {
		got = append(got, door.Place)
	}
	if diff := cmp.Diff([]string{"", "a:9", "a:59", "a:151", "b:2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWorse(t *testing.T) {
	for _, tc := range []struct{ a, b, want int }{
		{caddy.ExitCodeSuccess, caddy.ExitCodeSuccess, caddy.ExitCodeSuccess},
		{caddy.ExitCodeSuccess, exitUncheckable, exitUncheckable},
		{exitRefused, exitUncheckable, exitRefused},
		{exitUncheckable, exitRefused, exitRefused},
	} {
		if got := worse(tc.a, tc.b); got != tc.want {
			t.Errorf("%d and %d: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
