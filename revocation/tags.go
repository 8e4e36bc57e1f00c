package revocation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/caddy-gatehouse/gatehouse/token"
)

// Tags say in a token of the gateway's own what it was derived from, so that each
// node refuses it when that is revoked, without asking anybody. They are groups, one
// for each token that it was derived from, the first of a chain first. A group holds
// the iat of such a token and short hashes of its names: who reads them learns no
// name, and who knows one recognises it.
//
// A token whose subject was read from another claim than sub has a second group, with
// a tag of sub alone: whoever revokes may know the subject by either.
//
// A group has the iat of what was derived from and not of what was derived: a
// revocation of all that was issued before an instant is about the former.
type Tags []byte

const (
	tagSize   = 8
	stampSize = 4 // iat in seconds, 0: it does not say
	groupSize = stampSize + len(tagged)*tagSize
	// maxGroups bounds how long a token gets: of more the first token, which the user
	// logged in for, and the last ones count. It is two chains of actors of the longest
	// kind.
	maxGroups = 8
)

// tagged are the kinds that a group has a tag of, in their order. Of an encrypted token
// without a jti the token in it stands in the place of the first.
var tagged = [...]kindIndex{ofID, ofToken, ofSession, ofSubject, ofClient, ofIssuer, ofKey}

// A tag is the beginning of a hash; zero stands for nothing. Two names out of all that
// are revoked at a time have one in common about never.
type tag [tagSize]byte

func nameTag(kind kindIndex, issuer, value string) (t tag) {
	var space [256]byte
	message := append(space[:0], "gatehouse origin "...)
	message = append(message, byte(kind))
	message = binary.BigEndian.AppendUint32(message, uint32(len(issuer))) //nolint:gosec // bounded by the token
	message = append(message, issuer...)
	message = append(message, value...)
	sum := sha256.Sum256(message)
	copy(t[:], sum[:])
	return t
}

// TagsOf returns the tags of a token that is derived from this one: those that it has
// itself, and what it adds of its own behind them.
func TagsOf(facts *Facts) Tags { return bounded(append(slices.Clone(facts.Tags), group(facts)...)) }

// Join adds a second token, such as the one of who acts, and what that was derived from.
func (t Tags) Join(other *Facts) Tags {
	joined := slices.Clone(t)
	for own := range slices.Chunk(TagsOf(other), groupSize) {
		if !joined.has(own) {
			joined = append(joined, own...)
		}
	}
	return bounded(joined)
}

func (t Tags) has(group Tags) bool {
	for known := range slices.Chunk(t, groupSize) {
		if bytes.Equal(known, group) {
			return true
		}
	}
	return false
}

func bounded(tags Tags) Tags {
	over := len(tags)/groupSize - maxGroups
	if over <= 0 {
		return tags
	}
	first := groupSize
	if tags[first:].beginsWithAlias() {
		first += groupSize
	}
	return slices.Delete(tags, first, first+groupSize*over)
}

// beginsWithAlias tells whether the first group has another name of the subject of the
// one before: every other group has the tag of an issuer.
func (t Tags) beginsWithAlias() bool {
	at := stampSize + slices.Index(tagged[:], ofIssuer)*tagSize
	return tag(t[at:at+tagSize]) == tag{}
}

// ok tells whether the octets can be tags at all.
func (t Tags) ok() bool { return len(t) > 0 && len(t)%groupSize == 0 && len(t) <= maxGroups*groupSize }

// group are the tags of one token: a group, or two where it has two subjects.
func group(facts *Facts) Tags {
	made := make(Tags, 0, 2*groupSize)
	made = binary.BigEndian.AppendUint32(made, stampOf(facts))
	for _, kind := range tagged {
		value := facts.value(kind)
		switch {
		case kind == ofToken:
			value = string(facts.Essence[:])
		case kind == ofID && value == "" && facts.Inner != (token.Digest{}):
			kind, value = ofToken, string(facts.Inner[:])
		}
		var one tag
		if value != "" || kind == ofIssuer {
			one = nameTag(kind, facts.Issuer, value)
		}
		made = append(made, one[:]...)
	}
	subject, sub := facts.values(ofSubject)
	if sub == "" || sub == subject {
		return made
	}
	made = binary.BigEndian.AppendUint32(made, stampOf(facts))
	for _, kind := range tagged {
		var one tag
		if kind == ofSubject {
			one = nameTag(kind, facts.Issuer, sub)
		}
		made = append(made, one[:]...)
	}
	return made
}

// stampOf is when a token was issued, rounded down: it may be revoked as something
// older, never as something newer.
func stampOf(facts *Facts) uint32 {
	if seconds := facts.IssuedAt.Unix(); !facts.IssuedAt.IsZero() && seconds > 0 && seconds < 1<<32 {
		return uint32(seconds)
	}
	return 0
}
