package handlers

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

const (
	userPrefix   = "http.auth.user."
	errorKey     = "http.auth.error"
	claimPrefix  = "claim."
	existsPrefix = "has."
)

// placeholder resolves {http.auth.user.*} and {http.auth.error}. Every one of
// them is known once token_auth ran: Caddy sends an unknown placeholder upstream
// as literal text, and an upstream could take the braces for an identity. None
// holds a token.
func (c *caller) placeholder(key string) (any, bool) {
	if key == errorKey {
		return c.errorCode, true
	}
	name, ok := strings.CutPrefix(key, userPrefix)
	if !ok {
		return nil, false
	}
	if path, ok := strings.CutPrefix(name, existsPrefix); ok {
		return strconv.FormatBool(c.hasClaim(path)), true
	}
	if c.token == nil {
		return "", true
	}
	if path, ok := strings.CutPrefix(name, claimPrefix); ok {
		value, _ := c.token.Claims.Lookup(path)
		return claimText(value), true
	}
	return c.field(name), true
}

// standAlone forgets the user of an authentication in front of token_auth, such as
// basic_auth: what that one has set would go before the placeholders of the token,
// and an upstream would be told another caller than the one that was let in.
func (c *caller) standAlone(repl *caddy.Replacer) {
	if c.token != nil && repl != nil {
		repl.DeleteByPrefix(userPrefix)
	}
}

func (c *caller) hasClaim(path string) bool {
	if c.token == nil {
		return false
	}
	_, ok := c.token.Claims.Lookup(path)
	return ok
}

func (c *caller) field(name string) string {
	t := c.token
	switch name {
	case "id":
		return oneLine(c.userID())
	case "subject":
		return oneLine(t.Subject)
	case "issuer":
		return oneLine(t.Issuer)
	case "client":
		return oneLine(t.Client)
	case "scope":
		return joined(t.Scopes)
	case "audience":
		return joined(t.Audience)
	case "jti":
		return oneLine(t.ID)
	case "exp":
		return strconv.FormatInt(t.Expiry.Unix(), 10)
	case "acr":
		return oneLine(t.ACR)
	case "actor":
		return oneLine(t.Actor)
	default:
		return ""
	}
}

// claimText writes a claim for a header or a log: lists of plain texts parted by
// one blank, everything that this would make ambiguous as JSON.
func claimText(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return oneLine(value)
	case json.Number:
		return value.String()
	case bool:
		return strconv.FormatBool(value)
	case []any:
		texts := make([]string, 0, len(value))
		for _, element := range value {
			text, ok := element.(string)
			if !ok {
				return asJSON(value)
			}
			texts = append(texts, text)
		}
		return joined(texts)
	default:
		return asJSON(value)
	}
}

// joined parts texts by one blank. An element that has a blank or a control
// character of its own would become two elements, or a header of its own, so
// then the list is JSON.
func joined(texts []string) string {
	for _, text := range texts {
		if strings.ContainsFunc(text, func(r rune) bool { return r == ' ' || isControl(r) }) {
			return asJSON(texts)
		}
	}
	return strings.Join(texts, " ")
}

func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return oneLine(string(text))
}

// oneLine turns control characters into blanks: a claim must not be able to
// begin a new header or a new log line.
func oneLine(text string) string {
	if !strings.ContainsFunc(text, isControl) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if isControl(r) {
			return ' '
		}
		return r
	}, text)
}

func isControl(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) }

// expander fills placeholders of one request into a text.
func expander(repl *caddy.Replacer) func(string) string {
	return func(text string) string { return repl.ReplaceAll(text, "") }
}
