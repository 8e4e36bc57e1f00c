package token

import (
	"errors"
	"fmt"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// An opened token is one that can be read, and the issuer it names. Nobody has
// verified it.
type opened struct {
	jws    *jose.JWS
	claims Claims
	issuer trusted
	opener string // ID of what opened it, "" if it was not encrypted
	// essence is that of the JWS, if it was encrypted.
	essence Digest
}

// open reads a JWT and chooses its issuer. An encrypted one is opened first.
func (v *Verifier) open(raw Raw) (opened, error) {
	text, opener, err := v.decrypt(raw.Reveal())
	if err != nil {
		return opened{}, err
	}
	found := opened{}
	if opener != nil {
		found.essence = NewRaw(text).Essence()
	}
	if found.jws, found.claims, err = parse(text); err != nil {
		return opened{}, err
	}
	if found.issuer, err = v.choose(found.claims); err != nil {
		return opened{}, err
	}
	found.opener, err = found.issuer.opens(raw, opener)
	return found, err
}

// opens names the issuer's own keys where they open the envelope that the opener
// did, "" where there is none. Everyone can encrypt to a public key; a token inside
// another issuer's envelope went a way that its own issuer did not choose. Issuers
// that share a key are all at home in it.
func (t trusted) opens(raw Raw, opener Decrypter) (name string, err error) {
	switch {
	case opener == nil:
		return "", nil
	case t.Decrypter == nil:
	case t.Decrypter == opener:
		return opener.ID(), nil
	default:
		if _, err = t.Decrypter.Decrypt(raw.Reveal()); err == nil {
			return t.Decrypter.ID(), nil
		}
	}
	return "", fmt.Errorf("%w: it was encrypted to the key of another issuer", UnknownIssuer)
}

// opened tells whether a remembered token would still be opened as it was: a key
// for decryption that was withdrawn opens nothing.
func (t trusted) opened(entry *verified) bool {
	return entry.opener == "" || t.Decrypter != nil && t.Decrypter.ID() == entry.opener
}

// decrypt returns the JWS in a JWE and what opened it. Other texts come back as
// they are.
func (v *Verifier) decrypt(text string) (string, Decrypter, error) {
	if len(v.encrypted) == 0 || !jose.IsEncrypted(text) {
		return text, nil, nil
	}
	var tried Decrypter
	for _, issuer := range v.encrypted {
		if issuer.Decrypter == tried {
			continue // tenants share a block and its keys
		}
		tried = issuer.Decrypter
		inner, err := tried.Decrypt(text)
		if err == nil {
			return inner, tried, nil
		}
		if !errors.Is(err, jose.ErrDecryption) {
			return "", nil, fmt.Errorf("%w: %w", NotJWT, err)
		}
	}
	return "", nil, Undecryptable
}

// choose lets the unverified iss choose among the issuers of this route, and do
// nothing else.
func (v *Verifier) choose(claims Claims) (trusted, error) {
	url, err := issuerOf(claims)
	if err != nil {
		return trusted{}, err
	}
	issuer, ok := v.issuers[url]
	if !ok {
		return trusted{}, UnknownIssuer
	}
	return issuer, nil
}
