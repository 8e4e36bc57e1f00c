package demo

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

const (
	nobody   = `{"level":"info","logger":"gatehouse.audit","msg":"denied","directive":"token_auth","place":"a/Caddyfile:49","method":"GET","path":"/orders/7","rule":"missing","reason":"missing","status":401}`
	foreign  = `{"logger":"gatehouse.audit","msg":"denied","directive":"token_auth","place":"a/Caddyfile:49","method":"GET","path":"/orders/7","reason":"wrong_audience: aud names another API","token":"sha256:f575a430db213f57","status":401}`
	exchange = `{"logger":"gatehouse.audit","msg":"granted","directive":"token_exchange","place":"a/Caddyfile:52","method":"GET","path":"/orders/7","target_audience":"orders","token":"sha256:f575a430db213f57","subject":"alice","client":"web"}`
	down     = `{"logger":"gatehouse.audit","msg":"denied","directive":"token_exchange","place":"a/Caddyfile:52","method":"DELETE","path":"/orders/7/lines/1234","reason":"exchanging token: as_down: authorization server answered 500 without an OAuth error","subject":"alice","client":"web","status":503}`
)

func TestShowDecision(t *testing.T) {
	tests := map[string]struct{ line, want string }{
		"nobody":   {nobody, "denied  401 token_auth     line 49 nobody         missing"},
		"foreign":  {foreign, "denied  401 token_auth     line 49 sha256:f575a4… wrong_audience: aud names another API"},
		"granted":  {exchange, "granted     token_exchange line 52 alice via web  a token for orders"},
		"too long": {down, "denied  503 token_exchange line 52 alice via web  as_down: authorization server answered 500 wit…"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d, ok := parseDecision(test.line)
			if !ok {
				t.Fatal("no decision")
			}
			got := d.show(NewPage(nil, false), d.place())
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if utf8.RuneCountInString(got) > width-len(indent) {
				t.Errorf("%d columns", utf8.RuneCountInString(got))
			}
		})
	}
}

func TestAskedStaysInItsColumn(t *testing.T) {
	for line, want := range map[string]string{nobody: "GET /orders/7 ", down: "DELETE /order…"} {
		if d, _ := parseDecision(line); d.asked() != want {
			t.Errorf("%q, want %q", d.asked(), want)
		}
	}
}

func TestParseDecisionSkipsOtherLines(t *testing.T) {
	for _, line := range []string{"", "text", `{"logger":"http","msg":"denied"}`, `[]`} {
		if d, ok := parseDecision(line); ok {
			t.Errorf("%q: %+v", line, d)
		}
	}
}

func TestSummarize(t *testing.T) {
	var decisions []Decision
	for _, line := range []string{exchange, nobody, exchange, foreign, exchange} {
		d, _ := parseDecision(line)
		decisions = append(decisions, d)
	}
	var got []string
	counts := map[int]int{}
	for i, g := range summarize(decisions) {
		got = append(got, g.Outcome+" "+g.why())
		counts[i] = g.count
	}
	if diff := cmp.Diff([]string{"granted a token for orders", "denied missing", "denied wrong_audience: aud names another API"}, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[int]int{0: 3, 1: 1, 2: 1}, counts); diff != "" {
		t.Error(diff)
	}
}

func TestLines(t *testing.T) {
	var got []string
	w := &lines{take: func(line string) { got = append(got, line) }}
	for _, part := range []string{"a", "b\nc\n", "\nd", "e\nunfinished"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	if diff := cmp.Diff("ab|c||de", strings.Join(got, "|")); diff != "" {
		t.Error(diff)
	}
}
