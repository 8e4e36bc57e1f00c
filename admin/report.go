package admin

import (
	"encoding/base64"
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

// token prints what the token itself says, to the door that can read most of it.
func (p *report) token(raw token.Raw, findings []finding) {
	p.linef("token %s, %d bytes", raw, len(raw.Reveal()))
	read, opaque := new(token.Explanation), true
	for _, found := range findings {
		opaque = opaque && (found.opaque || found.JWT == nil)
		if found.JWT != nil && (len(read.Header.Names()) == 0 || len(found.JWT.Claims.Names()) > len(read.Claims.Names())) {
			read = found.JWT
		}
	}
	switch {
	case len(read.Header.Names()) > 0:
		p.content(read, jose.IsEncrypted(raw.Reveal()))
	case !opaque:
		p.linef("it is not a JWT that can be read: see the check named format")
	default:
		p.linef("it is opaque: no JWT, but a text of which only its issuer can say what it means")
	}
}

func (p *report) content(read *token.Explanation, encrypted bool) {
	p.linef("\nheader")
	p.members("  ", read.Header)
	if len(read.Inner.Names()) > 0 {
		p.linef("\nheader of the token that was encrypted")
		p.members("  ", read.Inner)
	}
	if encrypted && len(read.Claims.Names()) == 0 {
		p.linef("\nclaims are encrypted: see the check named decryption")
		return
	}
	p.linef("\nclaims, which are true only if every check is ok")
	p.members("  ", read.Claims.Object)
}

// times are the claims that are dates (RFC 7519, section 2).
var times = []string{"exp", "nbf", "iat", "auth_time", "updated_at"}

func (p *report) members(indent string, object jose.Object) {
	names := object.Names()
	width := 0
	for _, name := range names {
		width = max(width, len(plain(name)))
	}
	for _, name := range names {
		value, _ := object.Get(name)
		p.linef("%s%-*s  %s", indent, width, plain(name), p.value(name, value))
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

// finding prints what one token_auth makes of the token.
func (p *report) finding(found *finding) {
	p.linef("\n%s", found.door)
	if issuer := found.issuer(); issuer != "" {
		p.linef("  issuer  %s", issuer)
	} else {
		p.linef("  issuer  none of %s", strings.Join(found.door.Issuers, " "))
	}
	if found.JWT != nil {
		p.key(found.JWT)
		if found.opaque {
			p.linef("  asked   nobody: no issuer of this token_auth has introspection")
		}
		p.checks(found.JWT.Checks)
	}
	if found.Told != nil {
		p.told(found)
		p.checks(found.Told.Checks)
	}
	if found.bound != nil {
		p.checks([]token.CheckResult{*found.bound})
	}
	bound := p.bound(found.Token())
	p.linef("  result: %s", verdict(exitOf(found.checks()), bound))
}

func (p *report) key(jwt *token.Explanation) {
	if key := jwt.Key; key != nil {
		thumbprint := key.Thumbprint()
		p.linef("  key     kid %s, %s, SHA-256 %s…", plain(strconv.Quote(key.ID())), jwt.Algorithm, hex.EncodeToString(thumbprint[:8]))
	}
}

// told prints who was asked about the token, and the answer. Of a JWT the answer is
// shown together with what the token says where the issuer is silent.
func (p *report) told(found *finding) {
	reached := found.Told.Checks[len(found.Told.Checks)-1].Outcome != token.NotReached
	switch {
	case found.Asked == "":
		return
	case found.Prefix != "":
		p.linef("  asked   %s, by introspection, since the token begins with %s", found.Asked, plain(strconv.Quote(found.Prefix)))
	case found.JWT != nil && !found.JWT.Good():
		p.linef("  asked   nobody: %s is shown no token that fails a check", found.Asked)
	default:
		p.linef("  asked   %s, by introspection", found.Asked)
	}
	if reached {
		p.linef("  it says, which is true only if every check is ok")
		p.members("    ", found.Told.Claims.Object)
	}
}

func (p *report) checks(checks []token.CheckResult) {
	for _, result := range checks {
		if result.Err == nil {
			p.linef("  %-11s %s", result.Outcome, result.Name)
			continue
		}
		p.linef("  %-11s %-15s %s", result.Outcome, result.Name, plain(result.Err.Error()))
	}
}

// bound prints what a token is bound to, and tells whether it is: of that only a
// request has the proof.
func (p *report) bound(held *token.Token) bool {
	if held == nil || held.Confirmation.IsZero() {
		return false
	}
	const line = "  bound   to %s %s (cnf.%s): each request needs %s, of which there is none to check here"
	if key := held.Confirmation.Key; !key.IsZero() {
		p.linef(line, "the key", base64.RawURLEncoding.EncodeToString(key[:]), "jkt", "a DPoP proof")
	}
	if certificate := held.Confirmation.Certificate; !certificate.IsZero() {
		p.linef(line, "the certificate", base64.RawURLEncoding.EncodeToString(certificate[:]), "x5t#S256", "its TLS connection")
	}
	return true
}

func verdict(status int, bound bool) string {
	switch {
	case status == exitRefused:
		return "refused"
	case status == exitUncheckable:
		return "could not be checked"
	case bound:
		return "accepted, from whom it is bound to"
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
