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
}

// open reads a JWT and chooses its issuer. An encrypted one is opened first.
func (v *Verifier) open(raw Raw) (opened, error) {
	text, opener, err := v.decrypt(raw.Reveal())
	if err != nil {
		return opened{}, err
	}
	found := opened{}
	if found.jws, found.claims, err = parse(text); err != nil {
		return opened{}, err
	}
	found.issuer, err = v.choose(found.claims)
	if err == nil && opener != nil && found.issuer.Decrypter != opener {
		// Everyone can encrypt to a public key; a token that is inside another
		// issuer's envelope went a way that its own issuer did not choose.
		err = fmt.Errorf("%w: it was encrypted to the key of another issuer", UnknownIssuer)
	}
	return found, err
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
