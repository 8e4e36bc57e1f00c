package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A caller has a token and, where it is bound to a key, a signer for proofs.
type caller struct {
	token  string
	prover jose.Signer // nil: nothing is proved
}

func (w *world) newCaller(number int) (*caller, error) {
	made := new(caller)
	var binding map[string]string
	var err error
	switch w.scenario.kind {
	case exchanged, held: // bound to nothing
	case opaque:
		made.token = w.server.opaqueToken(number)
		return made, nil
	case mutualTLS:
		binding = map[string]string{"x5t#S256": w.identity.thumbprint}
	case dpop:
		var thumbprint string
		if made.prover, thumbprint, err = newProver(); err != nil {
			return nil, err
		}
		binding = map[string]string{"jkt": thumbprint}
	}
	made.token, err = w.server.callerToken(number, binding)
	return made, err
}

// newProver makes a key and its thumbprint (RFC 9449, section 6.1).
func newProver() (signer jose.Signer, thumbprint string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("making a key: %w", err)
	}
	public := jose.JSONWebKey{Key: key.Public()}
	digest, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, "", fmt.Errorf("naming a key: %w", err)
	}
	options := (&jose.SignerOptions{EmbedJWK: true}).WithType("dpop+jwt")
	signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, options)
	return signer, base64.RawURLEncoding.EncodeToString(digest), err
}

// request is a request as its bytes: all gateways get the same, but that a proof
// is good for one request only.
func (c *caller) request(path string) (string, error) {
	scheme, proof := "Bearer ", ""
	if c.prover != nil {
		text, err := c.proof(path)
		if err != nil {
			return "", err
		}
		scheme, proof = "DPoP ", "DPoP: "+text+"\r\n"
	}
	return http.MethodGet + " " + path + " HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench\r\n" +
		"Accept: application/json\r\nAuthorization: " + scheme + c.token + "\r\n" + proof + "\r\n", nil
}

// proof is a DPoP proof (RFC 9449, section 4.2).
func (c *caller) proof(path string) (string, error) {
	digest := sha256.Sum256([]byte(c.token))
	payload, err := json.Marshal(map[string]any{
		"jti": rand.Text(), "htm": http.MethodGet, "htu": apiAudience + path, "iat": time.Now().Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(digest[:]),
	})
	if err != nil {
		return "", fmt.Errorf("writing a proof: %w", err)
	}
	signed, err := c.prover.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing a proof: %w", err)
	}
	return signed.CompactSerialize()
}
