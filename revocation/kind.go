package revocation

import "slices"

// A Kind says what an event is about.
type Kind string

// The kinds. Each is of one issuer, and Value names the thing.
const (
	// KindToken is one token, by the SHA-256 of its text in base64url: for tokens
	// without jti.
	KindToken Kind = "token"
	// KindID is one token, by jti.
	KindID Kind = "jti"
	// KindSubject is every token of a subject.
	KindSubject Kind = "subject"
	// KindSession is every token of a login session, by sid.
	KindSession Kind = "session"
	// KindClient is every token issued to a client.
	KindClient Kind = "client"
	// KindIssuer is every token of the issuer; Value is empty.
	KindIssuer Kind = "issuer"
	// KindKey is every token signed with a key, by kid.
	KindKey Kind = "key"
)

var kinds = [...]Kind{
	ofToken: KindToken, ofID: KindID, ofSubject: KindSubject, ofSession: KindSession,
	ofClient: KindClient, ofIssuer: KindIssuer, ofKey: KindKey,
}

// Kinds are all kinds.
func Kinds() []Kind { return slices.Clone(kinds[:]) }

// A kindIndex is the place of a kind among the kinds.
type kindIndex uint8

// The places, in the order of kinds.
const (
	ofToken kindIndex = iota
	ofID
	ofSubject
	ofSession
	ofClient
	ofIssuer
	ofKey
)

func (k Kind) index() (index kindIndex, known bool) {
	for i, kind := range kinds {
		if k == kind {
			return kindIndex(i), true
		}
	}
	return 0, false
}
