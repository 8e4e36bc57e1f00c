package config

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Bounds of limits.
const (
	// MaxLimitEvents is the most events that a window may have: a limit is kept in
	// steps of a microsecond, and no window is shorter than a second.
	MaxLimitEvents = 1_000_000
	// MaxLimitWindow is the longest window.
	MaxLimitWindow = 366 * 24 * time.Hour
)

// TokenLimit says how many requests may come in how long a time, for each value of
// a key.
type TokenLimit struct {
	// What requests are counted by: a text with the placeholders of a request,
	// such as `{http.auth.user.client}`. Where one of them is empty, the client's
	// IP address stands in its place; of an IPv6 address the first 64 bits. A text
	// without placeholders counts all requests together. Required.
	Key string `json:"key,omitempty"`

	// How many requests may come at once, and again in each window, at least 1
	// and at most 1000000. Required.
	Events Count `json:"events,omitempty"`

	// How long it takes until as many may come at once again, at least 1s and at
	// most 366 days. In between they come back one by one. Required.
	Window Duration `json:"window,omitempty"`

	// Other limits, for callers by a claim of their token. The first that fits
	// counts, in the place of the one above, and has counts of its own. Default:
	// none.
	When []LimitCase `json:"when,omitempty"`

	// Where the Caddyfile has this directive, as file:line. The Caddyfile adapter
	// writes it. It serves messages only and changes nothing.
	Place string `json:"place,omitempty"`
}

// A LimitCase is a limit for callers whose claim is, or contains, a value.
type LimitCase struct {
	// The claim: its name, names joined by dots, or a JSON Pointer that begins
	// with a slash. Required.
	Path string `json:"path,omitempty"`

	// What the claim is, or contains. Required.
	Value string `json:"value,omitempty"`

	// How many requests may come at once, and again in each window, at least 1
	// and at most 1000000. Required.
	Events Count `json:"events,omitempty"`

	// How long it takes until as many may come at once again, at least 1s and at
	// most 366 days. Required.
	Window Duration `json:"window,omitempty"`
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	token_limit [<matcher>] <key> <events> <window> {
//		when <path> <value> <events> <window>
//	}
//
// The block may be left out.
func (t *TokenLimit) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	t.Place = place(d)
	for _, read := range []func(*caddyfile.Dispenser) error{readOne(&t.Key), readOne(&t.Events), readOne(&t.Window)} {
		if err := read(d); err != nil {
			return locate(d, "", fmt.Errorf("%w: write token_limit <key> <events> <window>", err))
		}
	}
	return readBlock(d, "", t)
}

func (t *TokenLimit) options() []option {
	return []option{{word: "when", repeat: true, read: func(d *caddyfile.Dispenser) error {
		var c LimitCase
		for _, read := range []func(*caddyfile.Dispenser) error{
			readOne(&c.Path), readOne(&c.Value), readOne(&c.Events), readOne(&c.Window),
		} {
			if err := read(d); err != nil {
				return fmt.Errorf("%w: write when <path> <value> <events> <window>", err)
			}
		}
		t.When = append(t.When, c)
		return nil
	}}}
}

func (t *TokenLimit) settings() []setting {
	settings := late(one("key", &t.Key, checkLimitKey))
	settings = append(settings, one("events", (*string)(&t.Events), checkLimitEvents)...)
	settings = append(settings, one("window", (*string)(&t.Window), checkLimitWindow)...)
	for i := range t.When {
		settings = append(settings, t.When[i].settings()...)
	}
	return settings
}

func (c *LimitCase) settings() []setting {
	settings := one("when: path", &c.Path, checkPath)
	settings = append(settings, one("when: value", &c.Value, checkText)...)
	settings = append(settings, one("when: events", (*string)(&c.Events), checkLimitEvents)...)
	return append(settings, one("when: window", (*string)(&c.Window), checkLimitWindow)...)
}

// contradiction refuses a case that never counts, since an earlier one fits
// whenever it does.
func (t *TokenLimit) contradiction() error {
	type claim struct{ path, value string }
	seen := make(map[claim]bool)
	for _, c := range t.When {
		if c.Path == "" || c.Value == "" || c.Events == "" || c.Window == "" {
			return errors.New("when lacks a value: it needs path, value, events and window")
		}
		if seen[claim{c.Path, c.Value}] {
			return fmt.Errorf("when %s %s is written twice, and the first counts: keep one line", c.Path, c.Value)
		}
		seen[claim{c.Path, c.Value}] = true
	}
	return nil
}

func (t *TokenLimit) missing() error {
	if t.Key == "" || t.Events == "" || t.Window == "" {
		return errors.New("a value is missing: write token_limit <key> <events> <window>")
	}
	return nil
}

// Label names the directive and its place, for messages.
func (t *TokenLimit) Label() string { return at("token_limit", t.Place) }

// Expand replaces the placeholders in place, once, at load. The key stays as it is:
// requests fill it.
func (t *TokenLimit) Expand(repl *caddy.Replacer) error { return expandBlock(repl, t.Label(), t) }

// Check looks at the limits. It is called after Expand.
func (t *TokenLimit) Check(*Gatehouse) error { return checkBlock(t.Label(), t) }

// checkLimitKey accepts what cannot be taken for a matcher.
func checkLimitKey(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	if err := checkAsked(text); err != nil {
		return err
	}
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "@") {
		return fmt.Errorf("%q is not a key: a key begins neither with / nor with @, as matchers do", text)
	}
	// Without its closing brace a placeholder would be a text, and everybody would have
	// one limit together.
	rest, err := caddy.NewEmptyReplacer().ReplaceFunc(text, func(string, any) (any, error) { return "", nil })
	if err == nil && strings.Contains(rest, "{") {
		err = errors.New("a placeholder lacks its closing brace")
	}
	return err
}

func checkLimitEvents(text string) error {
	if checkCount(text) != nil || Count(text).Or(0) > MaxLimitEvents {
		return fmt.Errorf("%q is not a number from 1 to %d", text, MaxLimitEvents)
	}
	return nil
}

func checkLimitWindow(text string) error {
	value, err := parseDuration(text)
	if err == nil && (value < time.Second || value > MaxLimitWindow) {
		err = fmt.Errorf("%s is not between 1s and 366d", text)
	}
	return err
}
