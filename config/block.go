package config

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// A block is a group of options in braces, or the JSON object it becomes.
type block interface {
	// options are the words that may stand in it.
	options() []option
	// settings are its texts as far as they are set.
	settings() []setting
	// contradiction says which of its options cannot stand together. It is asked
	// after every line, so that the message has the line that brought it about.
	contradiction() error
	// missing says what it still lacks when it ends.
	missing() error
}

// An option is one word of a block and what reads the rest of its line.
type option struct {
	word   string
	read   func(d *caddyfile.Dispenser) error
	repeat bool // may be written more than once
}

// place says where the current token was written, as file:line.
func place(d *caddyfile.Dispenser) string {
	return fmt.Sprintf("%s:%d", d.File(), d.Line())
}

// at names a block in messages that appear after the Caddyfile is gone.
func at(label, place string) string {
	if place == "" {
		return label
	}
	return label + " (" + place + ")"
}

// located is an error that says file and line already.
type located struct{ error }

// locate adds the block's label, and the file and line of the current token,
// unless a block within did so.
func locate(d *caddyfile.Dispenser, label string, err error) error {
	if _, ok := errors.AsType[located](err); ok {
		return err
	}
	if label != "" {
		err = fmt.Errorf("%s: %w", label, err)
	}
	return located{d.WrapErr(err)}
}

// readBlock reads the braces behind the current token, if there are any, into
// the block, and checks what the head of the block and each line say.
func readBlock(d *caddyfile.Dispenser, label string, b block) error {
	head := *d // its line is where a missing option is missing
	if err := checkLine(b); err != nil {
		return locate(&head, label, err)
	}
	if d.NextArg() {
		return locate(d, label, errTooMany(d))
	}
	braces := opensBlock(d)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := readLine(d, b, seen); err != nil {
			return locate(d, label, err)
		}
	}
	err := b.missing()
	if err == nil && braces && len(seen) == 0 {
		err = errEmptyBlock
	}
	if err != nil {
		return locate(&head, label, err)
	}
	return nil
}

func readLine(d *caddyfile.Dispenser, b block, seen map[string]bool) error {
	options, word := b.options(), d.Val()
	i := slices.IndexFunc(options, func(o option) bool { return o.word == word })
	if i < 0 {
		words := make([]string, len(options))
		for i, o := range options {
			words[i] = o.word
		}
		return unknown("option", word, words)
	}
	if seen[word] && !options[i].repeat {
		return fmt.Errorf("%s is written twice: keep one line", word)
	}
	seen[word] = true
	if err := options[i].read(d); err != nil {
		if _, ok := errors.AsType[located](err); ok {
			return err
		}
		return fmt.Errorf("%s: %w", word, err)
	}
	if err := endLine(d); err != nil {
		return fmt.Errorf("%s: %w", word, err)
	}
	return checkLine(b)
}

// checkLine checks what is known of the block so far. All earlier lines passed,
// so what fails now is of the current one.
func checkLine(b block) error {
	if err := checkWritten(b.settings()); err != nil {
		return err
	}
	return b.contradiction()
}

// endLine refuses what an option did not read.
func endLine(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return errTooMany(d)
	}
	if opensBlock(d) {
		return errors.New("no block in braces belongs here")
	}
	return nil
}

var errEmptyBlock = errors.New("the block is empty: write an option in it, or leave it out")

func errTooMany(d *caddyfile.Dispenser) error {
	return fmt.Errorf("one value too many on the line: %q", d.Val())
}

// opensBlock tells whether a block opens behind the current token. It moves a
// copy: NextBlock has no way back over an empty block.
func opensBlock(d *caddyfile.Dispenser) bool {
	ahead := *d
	return !ahead.NextArg() && !ahead.NextLine() && ahead.Next()
}

// readOne returns a reader of exactly one value.
func readOne[T ~string](to *T) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return errors.New("a value is missing")
		}
		if d.Val() == "" {
			return errEmpty
		}
		*to = T(d.Val())
		return nil
	}
}

// readFlag returns a reader of a word that stands alone.
func readFlag(to *bool) func(*caddyfile.Dispenser) error {
	return func(*caddyfile.Dispenser) error {
		*to = true
		return nil
	}
}

// readList returns a reader of one value or more.
func readList(to *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		*to = d.RemainingArgs()
		if len(*to) == 0 {
			return errors.New("a value is missing: write one or more")
		}
		return nil
	}
}

// expandBlock is Expand for one block.
func expandBlock(repl *caddy.Replacer, label string, b block) error {
	if err := expand(repl, b.settings()); err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	return nil
}

// checkBlock is Check for one block: the same checks as for its lines, and
// what it lacks.
func checkBlock(label string, b block) error {
	err := checkLoaded(b.settings())
	if err == nil {
		err = b.contradiction()
	}
	if err == nil {
		err = b.missing()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	return nil
}
