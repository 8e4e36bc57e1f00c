package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// A setting is one text of a block. Every block lists its settings once; the
// list serves the line-by-line check, Expand and Check alike, so that no value
// can be forgotten in one of them.
type setting struct {
	word   string // the option it belongs to
	text   *string
	check  func(text string) error // must not quote a secret
	secret bool                    // its text is never shown
	late   bool                    // takes request placeholders: left as it is at load
	trusts bool                    // an audience of our own, where the word any opens the door
	file   func(path string)       // is told the file that the whole text is read from, if there is one
}

// one is the setting of an option with a single value. An unset option has
// nothing to check.
func one(word string, text *string, check func(string) error) []setting {
	if *text == "" {
		return nil
	}
	return []setting{{word: word, text: text, check: check}}
}

// list are the settings of an option with several values.
func list(word string, texts []string, check func(string) error) []setting {
	settings := make([]setting, len(texts))
	for i := range texts {
		settings[i] = setting{word: word, text: &texts[i], check: check}
	}
	return settings
}

// checkWritten checks the settings as the Caddyfile has them. A text with a
// placeholder has no value yet; only the placeholder itself is looked at.
func checkWritten(settings []setting) error {
	for _, s := range settings {
		pending, err := s.pending()
		if err == nil && !pending {
			err = s.check(*s.text)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.word, err)
		}
	}
	return nil
}

// checkLoaded checks the settings after expand: every one of them, since the
// value of a variable may itself look like a placeholder.
func checkLoaded(settings []setting) error {
	for _, s := range settings {
		if err := s.check(*s.text); err != nil {
			return fmt.Errorf("%s: %w", s.word, err)
		}
	}
	return nil
}

// expand replaces the placeholders of the settings in place.
func expand(repl *caddy.Replacer, settings []setting) error {
	for _, s := range settings {
		if err := s.expand(repl); err != nil {
			return fmt.Errorf("%s: %w", s.word, err)
		}
	}
	return nil
}

// pending tells whether the text holds a placeholder of the load.
func (s setting) pending() (bool, error) {
	if s.late {
		return false, nil
	}
	found := false
	rest, err := caddy.NewEmptyReplacer().ReplaceFunc(*s.text, func(key string, _ any) (any, error) {
		found = true
		return "", s.known(key)
	})
	if err != nil {
		return false, err
	}
	// Without its closing brace a placeholder would silently be the value.
	if holdsPlaceholder(rest) {
		return false, errors.New("a placeholder lacks its closing brace")
	}
	return found, nil
}

func (s setting) expand(repl *caddy.Replacer) error {
	if s.late {
		return nil
	}
	if _, err := s.pending(); err != nil {
		return err
	}
	if path := wholeFile(*s.text); path != "" && s.file != nil {
		s.file(path)
	}
	text, err := repl.ReplaceFunc(*s.text, func(key string, val any) (any, error) {
		if caddy.ToString(val) == "" {
			return nil, fmt.Errorf("{%s} is empty: set the variable, or make the file readable", key)
		}
		return val, nil
	})
	if err != nil {
		return err
	}
	// Accepting every audience must be said out loud, where it can be read.
	if s.trusts && text == anyAudience && *s.text != text {
		return fmt.Errorf("%s expands to any: if every audience is meant, write audience any itself", *s.text)
	}
	*s.text = text
	return nil
}

// wholeFile returns the file of a text that is one {file.*} and nothing else, ""
// for any other: what is only part of a text cannot be read again alone.
func wholeFile(text string) string {
	path, ok := strings.CutPrefix(text, "{file.")
	if !ok || !strings.HasSuffix(path, "}") || strings.ContainsAny(path[:len(path)-1], "{}\\") {
		return ""
	}
	return path[:len(path)-1]
}

// known refuses a placeholder that load time cannot fill. The key is not shown
// for a secret: braces may be part of it.
func (s setting) known(key string) error {
	switch {
	case strings.HasPrefix(key, "env.") || strings.HasPrefix(key, "file."):
		return nil
	case s.secret:
		return errors.New("the text in braces is no {env.*} or {file.*}: put a secret with braces into a file or a variable")
	default:
		return fmt.Errorf("{%s} is unknown here: only {env.*} and {file.*} are replaced at load", key)
	}
}

func holdsPlaceholder(text string) bool {
	for _, open := range []string{"{env.", "{file.", "{$"} {
		if strings.Contains(text, open) {
			return true
		}
	}
	return false
}
