package proof

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/caddy-gatehouse/gatehouse/jose"
	"github.com/caddy-gatehouse/gatehouse/token"
)

// A Target is a request that a proof is made for.
type Target struct {
	// Method and URL are those of the request; query and fragment of the URL do not
	// go into the proof.
	Method string
	URL    string
	// Token is the access token that goes with the request; the zero value where none
	// does, as at a token endpoint.
	Token token.Raw
	// Nonce is the server's last DPoP-Nonce, "" if it sent none.
	Nonce string
}

// Prove makes a DPoP proof (RFC 9449, section 4.2) for one attempt of one request: a
// second attempt needs a proof of its own.
func Prove(signer *jose.Signer, target Target) (string, error) {
	url, err := normalise(withoutQuery(target.URL))
	if err != nil {
		return "", fmt.Errorf("making DPoP proof: %w", err)
	}
	id := make([]byte, 16)
	rand.Read(id)
	encode := base64.RawURLEncoding.EncodeToString
	claims := struct {
		ID       string `json:"jti"`
		Method   string `json:"htm"`
		URL      string `json:"htu"`
		IssuedAt int64  `json:"iat"`
		Token    string `json:"ath,omitempty"`
		Nonce    string `json:"nonce,omitempty"`
	}{ID: encode(id), Method: target.Method, URL: url, IssuedAt: time.Now().Unix(), Nonce: target.Nonce}
	if !target.Token.IsZero() {
		digest := target.Token.Digest()
		claims.Token = encode(digest[:])
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("making DPoP proof: %w", err)
	}
	proof, err := signer.Sign(map[string]any{"typ": proofType, "jwk": signer.Public().PublicJWK()}, payload)
	if err != nil {
		return "", fmt.Errorf("making DPoP proof: %w", err)
	}
	return proof, nil
}
