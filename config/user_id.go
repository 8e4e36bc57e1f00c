package config

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// What {http.auth.user.id} may be.
const (
	UserIDSubject       = "subject"
	UserIDIssuerSubject = "issuer_subject"
	UserIDClaim         = "claim"
)

// UserID says what `{http.auth.user.id}` is.
type UserID struct {
	// `subject`: the subject alone, which is unique only within one issuer.
	// `issuer_subject`: the issuer and the subject, however many issuers are
	// trusted. `claim`: the claim at `path`. Required.
	Form string `json:"form,omitempty"`

	// The path to a claim, for `claim`. A token without it has an empty id.
	// Required for `claim`.
	Path string `json:"path,omitempty"`
}

func readUserID(to **UserID) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		*to = new(UserID)
		if err := readOne(&(*to).Form)(d); err != nil || (*to).Form != UserIDClaim {
			return err
		}
		return readOne(&(*to).Path)(d)
	}
}

func (u *UserID) settings() []setting {
	if u == nil {
		return nil
	}
	return append(
		one("user_id", &u.Form, checkOneOf("form", UserIDSubject, UserIDIssuerSubject, UserIDClaim)),
		one("user_id", &u.Path, checkPath)...)
}

func (u *UserID) check() error {
	switch {
	case u == nil:
		return nil
	case u.Form == "":
		return errors.New("user_id: the form is missing: write subject, issuer_subject or claim <path>")
	case u.Form == UserIDClaim && u.Path == "":
		return errors.New("user_id: the path of the claim is missing: write claim <path>")
	case u.Form != UserIDClaim && u.Path != "":
		return errors.New("user_id: only claim has a path")
	}
	return nil
}
