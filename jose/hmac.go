package jose

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
)

// MinHMACBytes is how long a secret that signs must be (RFC 7518, section 3.2).
const MinHMACBytes = sha256.Size

// SignHS256 returns the compact JWS of the payload, signed with a secret that its
// reader knows as well. It is for a client that proves itself by its secret and
// for nothing else: no key set ever holds such a key.
func SignHS256(secret []byte, header map[string]any, payload []byte) (string, error) {
	if len(secret) < MinHMACBytes {
		return "", fmt.Errorf("%w: a secret of less than %d bytes", ErrSigning, MinHMACBytes)
	}
	full := maps.Clone(header)
	if full == nil {
		full = make(map[string]any, 1)
	}
	full["alg"] = "HS256"
	head, err := json.Marshal(full)
	if err != nil {
		return "", fmt.Errorf("%w: the header is not JSON: %w", ErrSigning, err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(head) + "." + encode(payload)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil)), nil
}
