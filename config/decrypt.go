package config

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// Decrypt is a key by which the gateway opens encrypted tokens (JWE, RFC 7516)
// of an issuer. What is inside must be a signed token, which is then checked
// like any other.
type Decrypt struct {
	// The file with the private key: PEM or a JWK. Required.
	Key string `json:"key,omitempty"`

	// The key management algorithms that may be used with this key. Default: those
	// that fit the key, RSA-OAEP-256 or ECDH-ES with and without A128KW, A192KW
	// and A256KW.
	Algorithms []string `json:"algorithms,omitempty"`
}

// readDecrypt reads one line `decrypt <key file> [<alg>...]`.
func (i *Issuer) readDecrypt(d *caddyfile.Dispenser) error {
	var line Decrypt
	if err := readOne(&line.Key)(d); err != nil {
		return err
	}
	line.Algorithms = d.RemainingArgs()
	if len(line.Algorithms) == 0 {
		line.Algorithms = nil
	}
	i.Decrypt = append(i.Decrypt, line)
	return nil
}

func decryptSettings(lines []Decrypt) []setting {
	var settings []setting
	for n := range lines {
		settings = slices.Concat(settings,
			one("decrypt", &lines[n].Key, checkText),
			list("decrypt", lines[n].Algorithms, checkKeyManagement),
		)
	}
	return settings
}

// decryptContradiction refuses lines that say the same, of which one was meant to
// say something else.
func decryptContradiction(lines []Decrypt) error {
	for n, line := range lines {
		for _, other := range lines[:n] {
			if line.Key == other.Key {
				return fmt.Errorf("the key %s is written twice: keep one line with all its algorithms", line.Key)
			}
		}
		for m, alg := range line.Algorithms {
			if slices.Contains(line.Algorithms[:m], alg) {
				return fmt.Errorf("%s is written twice", alg)
			}
		}
	}
	return nil
}

// checkKeyManagement accepts a key management algorithm (RFC 7518, section 4.1)
// that the gateway opens.
func checkKeyManagement(text string) error {
	if _, err := jose.ParseKeyManagement(text); err == nil {
		return nil
	}
	known := make([]string, 0, len(jose.KeyManagements()))
	for _, way := range jose.KeyManagements() {
		known = append(known, string(way))
	}
	return unknown("algorithm", text, known)
}
