package exchange

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/signing"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A SubjectForm is how a minted token names the caller.
type SubjectForm string

// The forms. A subject is unique within its issuer only (RFC 9068, section 5): under
// the gateway's one issuer user 42 of one server would be user 42 of another.
const (
	// SubjectPlain is the caller's own sub: for one trusted issuer.
	SubjectPlain SubjectForm = "plain"
	// SubjectIssuerScoped is `<issuer>#<sub>`. No issuer has a # in it (RFC 8414,
	// section 2), so no two callers have one in common.
	SubjectIssuerScoped SubjectForm = "issuer_scoped"
	// SubjectPairwise is another name for each audience, from which nobody learns the
	// caller's own: services cannot tell that they speak of the same user.
	SubjectPairwise SubjectForm = "pairwise"
)

// ClientPrefix begins the subjects of the token service's clients, so that no user
// is taken for a service (RFC 9700, section 4.15).
const ClientPrefix = "client:"

// minPairwiseKey is the shortest key of pairwise subjects, in bytes.
const minPairwiseKey = 32

// Subjects say what the sub of a minted token is.
type Subjects struct {
	// Form is how callers are named. Default: SubjectPlain.
	Form SubjectForm
	// Key makes pairwise subjects. It is the same for ever, and on each node:
	// another one makes every user a stranger.
	Key []byte
	// Many tells that more than one issuer is trusted. Tokens then say in sub_id
	// (RFC 9493) whose subject it is, but for pairwise ones, which hide it. It is
	// asked with each token.
	Many func() bool
}

func (s Subjects) check() error {
	switch s.Form {
	case "", SubjectPlain, SubjectIssuerScoped:
		return nil
	case SubjectPairwise:
		if len(s.Key) < minPairwiseKey {
			return errors.New("pairwise subjects need a key of 32 bytes or more")
		}
		return nil
	default:
		return fmt.Errorf("unknown form of subjects %q", s.Form)
	}
}

func (s Subjects) fields() []string {
	key := sha256.Sum256(s.Key)
	return []string{string(s.Form), string(key[:])}
}

// Name returns what a token of the gateway's own for that audience calls the subject
// of a verified token: sub, and sub_id where it has one. own is the gateway's issuer.
func (s Subjects) Name(subject *token.Token, own, audience string) (string, signing.SubjectID) {
	return s.name(subject, own, audience)
}

// name returns sub and sub_id of a caller. A token of the gateway's own names its
// subject as it is to be named already; only pairwise subjects are made anew, for
// the other audience.
func (s Subjects) name(caller *token.Token, own, audience string) (string, signing.SubjectID) {
	switch {
	case s.Form == SubjectPairwise:
		return s.pairwise(caller, audience), signing.SubjectID{}
	case caller.Issuer == own:
		return caller.Subject, subjectID(caller)
	}
	var id signing.SubjectID
	if s.Many != nil && s.Many() {
		id = signing.SubjectID{Issuer: caller.Issuer, Subject: caller.Subject}
	}
	if s.Form == SubjectIssuerScoped {
		return caller.Issuer + "#" + caller.Subject, id
	}
	return caller.Subject, id
}

// pairwise follows OpenID Connect Core, section 8.1: nobody without the key can
// compute one, or test a guess.
func (s Subjects) pairwise(caller *token.Token, audience string) string {
	mac := hmac.New(sha256.New, s.Key)
	_, _ = mac.Write(appendList(nil, []string{"pairwise", audience, caller.Issuer, caller.Subject}))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// subjectID reads the sub_id of a token that the gateway minted.
func subjectID(of *token.Token) signing.SubjectID {
	value, _ := of.Claims.Get("sub_id")
	members, _ := value.(map[string]any)
	if members["format"] != "iss_sub" {
		return signing.SubjectID{}
	}
	issuer, _ := members["iss"].(string)
	subject, _ := members["sub"].(string)
	return signing.SubjectID{Issuer: issuer, Subject: subject}
}
