package admin

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A report prints what inspect found. It keeps the first error of its writer.
type report struct {
	out io.Writer
	now time.Time
	err error
}

func (p *report) linef(format string, values ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format+"\n", values...)
	}
}

// token prints what the token itself says.
func (p *report) token(raw token.Raw, explained *token.Explanation) {
	p.linef("token %s, %d bytes", raw, len(raw.Reveal()))
	if len(explained.Header.Names()) == 0 {
		p.linef("it is not a JWT that can be read: see the check named format. Nobody is asked about opaque tokens")
		return
	}
	p.linef("\nheader")
	p.members(explained.Header)
	p.linef("\nclaims, which are true only if every check is ok")
	p.members(explained.Claims.Object)
}

// times are the claims that are dates (RFC 7519, section 2).
var times = []string{"exp", "nbf", "iat", "auth_time", "updated_at"}

func (p *report) members(object jose.Object) {
	names := object.Names()
	width := 0
	for _, name := range names {
		width = max(width, len(plain(name)))
	}
	for _, name := range names {
		value, _ := object.Get(name)
		p.linef("  %-*s  %s", width, plain(name), p.value(name, value))
	}
}

func (p *report) value(name string, value any) string {
	number, ok := value.(json.Number)
	if ok && slices.Contains(times, name) {
		if seconds, err := number.Float64(); err == nil && seconds > 0 && seconds < 1e11 {
			return fmt.Sprintf("%s  %s", number, p.moment(time.Unix(int64(seconds), 0)))
		}
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "?"
	}
	return plain(string(text))
}

// moment is a date for a person: itself, and how far away it is.
func (p *report) moment(at time.Time) string {
	away := at.Sub(p.now).Round(time.Second)
	text := at.UTC().Format(time.RFC3339)
	if away < 0 {
		return fmt.Sprintf("%s, %s ago", text, -away)
	}
	return fmt.Sprintf("%s, in %s", text, away)
}

// door prints what one token_auth makes of the token.
func (p *report) door(door Door, explained *token.Explanation) {
	p.linef("\n%s", door)
	if explained.Issuer != nil {
		p.linef("  issuer  %s", explained.Issuer.URL)
	} else {
		p.linef("  issuer  none of %s", strings.Join(door.Issuers, " "))
	}
	if key := explained.Key; key != nil {
		thumbprint := key.Thumbprint()
		p.linef("  key     kid %s, %s, SHA-256 %s…", plain(strconv.Quote(key.ID())), explained.Algorithm, hex.EncodeToString(thumbprint[:8]))
	}
	for _, result := range explained.Checks {
		if result.Err == nil {
			p.linef("  %-11s %s", result.Outcome, result.Name)
			continue
		}
		p.linef("  %-11s %-15s %s", result.Outcome, result.Name, plain(result.Err.Error()))
	}
	p.linef("  result: %s", verdict(explained))
}

func verdict(explained *token.Explanation) string {
	switch exitOf(explained) {
	case exitRefused:
		return "refused"
	case exitUncheckable:
		return "could not be checked"
	default:
		return "accepted"
	}
}

// plain makes text fit for a terminal, which obeys some characters: a token from
// anywhere must not be able to rewrite what the screen says of it.
func plain(text string) string {
	var safe strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			safe.WriteRune(r)
		} else {
			fmt.Fprintf(&safe, `\u%04x`, r)
		}
	}
	return safe.String()
}
