package authserver

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a Secret prints as.
const redacted = "[redacted]"

// A Secret is a text that nothing may print: a client's secret, an issued token.
// Whatever prints it gets a fixed word; only Reveal returns the text.
type Secret struct {
	// text is a pointer because fmt cannot call the methods of a value in an
	// unexported field: there it would print a text and prints an address.
	text *string
}

// NewSecret wraps a secret text.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero tells whether there is no secret.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// String returns a fixed word.
func (s Secret) String() string { return redacted }

// Format prints the fixed word for every verb, %#v included.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// MarshalJSON returns the fixed word.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns the fixed word.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
