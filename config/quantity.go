package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/dustin/go-humanize"
)

// A Duration is a length of time as it is written: 30s, 1m30s, 1d. It stays a
// text until it is used, so that it may hold {env.*} or {file.*}. JSON takes
// the text, or a number of nanoseconds. Empty means that the default applies.
type Duration string

// Or returns the duration, or the default if none is written. Check has
// refused any text that is not a duration.
func (d Duration) Or(def time.Duration) time.Duration {
	value, err := caddy.ParseDuration(string(d))
	if d == "" || err != nil {
		return def
	}
	return value
}

// UnmarshalJSON reads a text, or a number of nanoseconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	text, number, err := textOrNumber(data)
	if number && err == nil && text != "" { // null is what is not written
		ns, bad := strconv.ParseInt(text, 10, 64)
		if bad != nil {
			err = errors.New("the number is too large, or not whole")
		}
		text = time.Duration(ns).String()
	}
	if err != nil {
		return fmt.Errorf("a duration is a text such as \"30s\", or a whole number of nanoseconds: %w", err)
	}
	*d = Duration(text)
	return nil
}

// A Count is a number of entries as it is written, which may be a placeholder.
// JSON takes a number or a text. Empty means that the default applies.
type Count string

// Or returns the number, or the default if none is written. The word off,
// where an option knows it, is zero.
func (c Count) Or(def int) int {
	if c == off {
		return 0
	}
	value, err := strconv.ParseInt(string(c), 10, 32)
	if c == "" || err != nil {
		return def
	}
	return int(value)
}

// MarshalJSON writes a number where the text is one.
func (c Count) MarshalJSON() ([]byte, error) { return marshalNumber(string(c)) }

// UnmarshalJSON reads a number or a text.
func (c *Count) UnmarshalJSON(data []byte) error {
	text, _, err := textOrNumber(data)
	if err != nil {
		return fmt.Errorf("a number is written in digits, or as a text: %w", err)
	}
	*c = Count(text)
	return nil
}

// A Size is a number of bytes as it is written: 64MiB, 500kB, 1048576. It may
// be a placeholder. JSON takes the text or a number of bytes. Empty means that
// the default applies.
type Size string

// Or returns the number of bytes, or the default if none is written.
func (s Size) Or(def int64) int64 {
	value, err := humanize.ParseBytes(string(s))
	if s == "" || err != nil || value > math.MaxInt64 {
		return def
	}
	return int64(value)
}

// MarshalJSON writes a number where the text is one.
func (s Size) MarshalJSON() ([]byte, error) { return marshalNumber(string(s)) }

// UnmarshalJSON reads a number of bytes or a text.
func (s *Size) UnmarshalJSON(data []byte) error {
	text, _, err := textOrNumber(data)
	if err != nil {
		return fmt.Errorf("a size is a text such as \"64MiB\", or a number of bytes: %w", err)
	}
	*s = Size(text)
	return nil
}

// off is the word that turns a cache off.
const off = "off"

// textOrNumber reads a JSON string or number as a text.
func textOrNumber(data []byte) (text string, number bool, err error) {
	if bytes.HasPrefix(data, []byte{'"'}) {
		err = json.Unmarshal(data, &text)
		return text, false, err
	}
	var value json.Number
	if err := json.Unmarshal(data, &value); err != nil {
		return "", false, errors.New("it is neither a text nor a number")
	}
	return value.String(), true, nil
}

func marshalNumber(text string) ([]byte, error) {
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		return strconv.AppendUint(nil, n, 10), nil
	}
	return json.Marshal(text)
}

// checkLeeway accepts a tolerance between clocks. Two minutes are more than any
// clock that is looked after needs; beyond, expiry means little.
func checkLeeway(text string) error {
	value, err := parseDuration(text)
	if err == nil && (value < 0 || value > MaxLeeway) {
		err = fmt.Errorf("%s is not between 0s and 2m", text)
	}
	return err
}

// checkPositive accepts a duration longer than nothing.
func checkPositive(text string) error {
	value, err := parseDuration(text)
	if err == nil && value <= 0 {
		err = fmt.Errorf("%s is too short: write more than 0s", text)
	}
	return err
}

// checkNotNegative accepts any duration, 0s among them.
func checkNotNegative(text string) error {
	value, err := parseDuration(text)
	if err == nil && value < 0 {
		err = fmt.Errorf("%s is negative", text)
	}
	return err
}

func parseDuration(text string) (time.Duration, error) {
	value, err := caddy.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 30s or 2m", text)
	}
	return value, nil
}

func checkCount(text string) error {
	if n, err := strconv.ParseInt(text, 10, 32); err != nil || n < 1 {
		return fmt.Errorf("%q is not a number from 1 to %d", text, math.MaxInt32)
	}
	return nil
}

func checkCountOrOff(text string) error {
	if text == off {
		return nil
	}
	if err := checkCount(text); err != nil {
		return fmt.Errorf("%w, nor the word off", err)
	}
	return nil
}

func checkSize(text string) error {
	if n, err := humanize.ParseBytes(text); err != nil || n < 1 || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a number of bytes such as 64MiB", text)
	}
	return nil
}
