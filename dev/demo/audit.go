package demo

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Decision is one line of the audit trail.
type Decision struct {
	Logger    string `json:"logger"`
	Outcome   string `json:"msg"`
	Directive string `json:"directive"`
	Place     string `json:"place"`
	Method    string `json:"method"`
	Path      string `json:"path"`
	Rule      string `json:"rule"`
	Reason    string `json:"reason"`
	Status    int    `json:"status"`
	Audience  string `json:"target_audience"`
	Token     string `json:"token"`
	Subject   string `json:"subject"`
	Client    string `json:"client"`
}

// denied is the outcome of a refusal.
const denied = "denied"

// parseDecision reads a line of the audit log; false if it is none.
func parseDecision(line string) (Decision, bool) {
	var d Decision
	err := json.Unmarshal([]byte(line), &d)
	return d, err == nil && d.Logger == "gatehouse.audit"
}

// who was it: the caller if the token was verified, else the token's fingerprint.
func (d Decision) who() string {
	switch {
	case d.Subject != "":
		return d.Subject + " via " + d.Client
	case d.Token != "":
		return cut(d.Token, 14)
	default:
		return "nobody"
	}
}

// why was it so.
func (d Decision) why() string {
	if d.Outcome == denied {
		return strings.TrimPrefix(d.Reason, "exchanging token: ")
	}
	if d.Audience != "" {
		return "a token for " + d.Audience
	}
	return ""
}

// show is the decision in one line, with one more thing about it in the middle.
func (d Decision) show(p *Page, middle string) string {
	color, status := green, ""
	if d.Outcome == denied {
		color, status = yellow, strconv.Itoa(d.Status)
	}
	head, tail := pad(d.Outcome, 8)+pad(status, 4), pad(d.Directive, 15)+pad(middle, utf8.RuneCountInString(middle)+1)+pad(d.who(), 15)
	room := width - len(indent) - utf8.RuneCountInString(head+tail)
	return strings.TrimRight(p.paint(color, head)+tail+p.paint(dim, cut(d.why(), room)), " ")
}

// asked is the request, without its host, in a column of its own.
func (d Decision) asked() string { return pad(cut(d.Method+" "+d.Path, 14), 14) }

// place is the directive's line in the Caddyfile.
func (d Decision) place() string { return "line " + d.Place[strings.LastIndexByte(d.Place, ':')+1:] }

// A group is decisions that read the same.
type group struct {
	Decision

	count int
}

// summarize folds decisions that read the same into one, in the order of their
// first.
func summarize(decisions []Decision) []group {
	var groups []group
	index := map[string]int{}
	for _, d := range decisions {
		key := fmt.Sprint(d.Outcome, d.Status, d.Directive, d.place(), d.who(), d.why())
		at, ok := index[key]
		if !ok {
			at = len(groups)
			index[key] = at
			groups = append(groups, group{Decision: d})
		}
		groups[at].count++
	}
	return groups
}
