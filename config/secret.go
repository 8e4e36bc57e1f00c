package config

import "log/slog"

// redacted is what a Secret prints.
const redacted = "REDACTED"

// A Secret is a text that only the authorization server may see. It prints as
// REDACTED, whatever prints it; JSON alone holds it, because JSON is the
// configuration.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string { return redacted }

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return redacted }

// LogValue hides the secret from structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
