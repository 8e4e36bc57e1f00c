package demo

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"
)

// width is where the page breaks lines, in columns.
const width = 100

// indent is the left margin of what belongs to a step.
const indent = "   "

// The colours, as ANSI parameters.
const (
	bold    = "1"
	dim     = "2"
	red     = "31"
	green   = "32"
	yellow  = "33"
	magenta = "35"
	cyan    = "36"
)

// A Page is what the reader sees. It counts the checks. Safe for concurrent use:
// audit lines arrive while the walk writes.
type Page struct {
	mu             sync.Mutex
	w              io.Writer
	color          bool
	steps          int
	passed, failed int
}

// NewPage makes a page that writes to w, with ANSI colours or without.
func NewPage(w io.Writer, color bool) *Page { return &Page{w: w, color: color} }

// Passed is how many checks held.
func (p *Page) Passed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed
}

// Failed is how many checks did not hold.
func (p *Page) Failed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// Line writes a line as it is.
func (p *Page) Line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A reader who has gone away is noticed by main, as a signal.
	_, _ = fmt.Fprintln(p.w, text)
}

// paint colours a text, if the page has colours.
func (p *Page) paint(color, text string) string {
	if !p.color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// Step begins a step: what is shown, and why it matters.
func (p *Page) Step(what, why string) {
	p.mu.Lock()
	p.steps++
	number := p.steps
	p.mu.Unlock()
	p.Line("")
	p.Line(p.paint(bold, fmt.Sprintf("%d  %s.", number, what)) + " " + why)
}

// Command shows a command as it is typed.
func (p *Page) Command(line string) {
	p.Line(indent + p.paint(dim, "$ ") + p.paint(cyan, line))
}

// Answer shows an answer's status line and those of its headers that matter here.
func (p *Page) Answer(a Answer, headers ...string) {
	p.Line(indent + p.paint(statusColor(a.Status), fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))))
	for _, name := range headers {
		for _, value := range a.Header.Values(name) {
			for _, line := range wrap(name+": "+value, width-len(indent)) {
				p.Line(indent + p.paint(dim, line))
			}
		}
	}
}

func statusColor(status int) string {
	switch {
	case status < 300:
		return green
	case status < 500:
		return yellow
	default:
		return magenta
	}
}

// Check notes whether something held that the page states. If it did not, what
// was found instead is shown.
func (p *Page) Check(held bool, statement string, found any) {
	p.mu.Lock()
	if held {
		p.passed++
	} else {
		p.failed++
	}
	p.mu.Unlock()
	if held {
		p.Line(indent + p.paint(green, "✓") + " " + statement)
		return
	}
	p.Line(indent + p.paint(red, "✗ "+statement))
	for line := range strings.Lines(fmt.Sprint(found)) {
		p.Line(indent + "  " + p.paint(red, strings.TrimRight(line, "\n")))
	}
}

// A Row is one line of a comparison.
type Row struct{ Name, Left, Right string }

// Compare shows two things beside each other. What differs is coloured.
func (p *Page) Compare(left, right string, rows []Row) {
	name, first := 0, utf8.RuneCountInString(left)
	for _, row := range rows {
		name, first = max(name, utf8.RuneCountInString(row.Name)), max(first, utf8.RuneCountInString(row.Left))
	}
	const gap = "   "
	p.Line("")
	p.Line(indent + pad("", name) + gap + p.paint(bold, pad(left, first)) + gap + p.paint(bold, right))
	for _, row := range rows {
		old, now := dim, dim
		if row.Left != row.Right {
			old, now = yellow, green
		}
		p.Line(indent + pad(row.Name, name) + gap + p.paint(old, pad(row.Left, first)) + gap + p.paint(now, row.Right))
	}
	p.Line("")
}

// pad fills a text up to so many columns.
func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(0, columns-utf8.RuneCountInString(text)))
}

// cut shortens a text to so many columns.
func cut(text string, columns int) string {
	if utf8.RuneCountInString(text) <= columns {
		return text
	}
	return string([]rune(text)[:columns-1]) + "…"
}

// wrap breaks a header line after commas, as RFC 9110 lists are read; what follows
// is indented. A part that is longer than a line stays whole.
func wrap(text string, columns int) []string {
	var lines []string
	line := ""
	for i, part := range strings.SplitAfter(text, ", ") {
		if i > 0 && utf8.RuneCountInString(line+strings.TrimRight(part, " ")) > columns {
			lines = append(lines, strings.TrimRight(line, " "))
			line = "  "
		}
		line += part
	}
	return append(lines, line)
}
