package signal

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/revocation"
)

// maxAliases bounds the names that one subject may have.
const maxAliases = 16

var (
	errFormat  = errors.New("a subject identifier lacks its format")
	errMember  = errors.New("a subject identifier lacks a member of its format")
	errAliases = fmt.Errorf("a subject has no identifiers, or more than %d", maxAliases)
	errForeign = errors.New("the subject is one of another issuer")
)

// A subjectReader finds what the list can know a subject by (RFC 9493; OpenID Shared
// Signals Framework 1.0, section 3).
type subjectReader struct {
	source  *Source
	before  time.Time
	session bool // the event is about a session
}

// read reads a subject identifier. Of one in a format that says nothing about tokens
// nothing comes.
func (r subjectReader) read(subject map[string]any) ([]target, *Refusal) {
	if formatOf(subject) == "complex" {
		return r.complex(subject)
	}
	return r.simple(subject, true)
}

// formatOf is the format of a subject identifier. Drafts called it subject_type, with
// dashes.
func formatOf(subject map[string]any) string {
	if format, ok := subject["format"].(string); ok {
		return format
	}
	format, _ := subject["subject_type"].(string)
	if format == "iss-sub" {
		return "iss_sub"
	}
	return format
}

// complex reads a subject whose members name it together. What stands beside the user
// or the session narrows it to less than all of their tokens, and the list cannot: it
// is all of them.
func (r subjectReader) complex(subject map[string]any) ([]target, *Refusal) {
	session, refused := r.part(subject, "session", func(id map[string]any) ([]target, *Refusal) {
		if formatOf(id) != "opaque" {
			return nil, nil
		}
		value, refused := textMember(id, "id")
		return []target{{kind: revocation.KindSession, value: value}}, refused
	})
	if refused != nil {
		return nil, refused
	}
	user, refused := r.part(subject, "user", func(id map[string]any) ([]target, *Refusal) { return r.simple(id, false) })
	if refused != nil {
		return nil, refused
	}
	if len(user) == 0 || r.session && len(session) > 0 {
		return session, nil
	}
	return user, nil
}

// part reads one member of a complex subject, if it is there.
func (r subjectReader) part(
	subject map[string]any, name string, read func(map[string]any) ([]target, *Refusal),
) ([]target, *Refusal) {
	value, ok := subject[name]
	if !ok {
		return nil, nil
	}
	members, ok := value.(map[string]any)
	if !ok {
		return nil, malformed(errFormat)
	}
	return read(members)
}

// simple reads an identifier of one format. alone tells that it is all that names the
// subject: of a session an opaque one may name the session or its user, as the
// transmitter has it.
func (r subjectReader) simple(subject map[string]any, alone bool) ([]target, *Refusal) {
	switch formatOf(subject) {
	case "iss_sub":
		return r.issued(subject, "sub", revocation.KindSubject)
	case "jwt_id":
		return r.issued(subject, "jti", revocation.KindID)
	case "opaque":
		id, refused := textMember(subject, "id")
		if refused != nil {
			return nil, refused
		}
		targets := r.subject(id)
		if r.session && alone {
			targets = append(targets, target{kind: revocation.KindSession, value: id})
		}
		return targets, nil
	case "email":
		email, refused := textMember(subject, "email")
		if refused != nil || !r.source.NamesByEmail {
			return nil, refused
		}
		return r.subject(email), nil
	case "aliases":
		return r.aliases(subject, alone)
	case "":
		return nil, malformed(errFormat)
	default:
		return nil, nil
	}
}

// issued reads what an issuer gave out. It must be the source's own: nobody revokes the
// tokens of another issuer.
func (r subjectReader) issued(subject map[string]any, member string, kind revocation.Kind) ([]target, *Refusal) {
	issuer, refused := textMember(subject, "iss")
	if refused != nil {
		return nil, refused
	}
	value, refused := textMember(subject, member)
	switch {
	case refused != nil:
		return nil, refused
	case issuer != r.source.URL:
		return nil, Refuse(OutcomeForeign, errForeign)
	case kind == revocation.KindSubject:
		return r.subject(value), nil
	}
	return []target{{kind: kind, value: value}}, nil
}

func (r subjectReader) subject(value string) []target {
	return []target{{kind: revocation.KindSubject, value: value, before: r.before}}
}

// aliases reads several names of one subject: each is revoked, but those that another
// issuer gave it.
func (r subjectReader) aliases(subject map[string]any, alone bool) ([]target, *Refusal) {
	names, _ := subject["identifiers"].([]any)
	if len(names) == 0 || len(names) > maxAliases {
		return nil, malformed(errAliases)
	}
	var targets []target
	var foreign *Refusal
	for _, name := range names {
		members, ok := name.(map[string]any)
		// RFC 9493, section 3.2.8: aliases hold no aliases.
		if !ok || formatOf(members) == "aliases" {
			return nil, malformed(errAliases)
		}
		found, refused := r.simple(members, alone)
		switch {
		case refused != nil && refused.Outcome == OutcomeForeign:
			foreign = refused
		case refused != nil:
			return nil, refused
		}
		targets = append(targets, found...)
	}
	if len(targets) == 0 {
		return nil, foreign
	}
	return targets, nil
}

func textMember(members map[string]any, name string) (string, *Refusal) {
	text, _ := members[name].(string)
	if text == "" {
		return "", malformed(errMember)
	}
	return text, nil
}
