package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/caddy-gatehouse/gatehouse/jose"
)

// PublicKeys are those that a gateway signs with, read from its storage, which the
// Caddyfile's option `storage file_system` put into a folder of the test's.
func PublicKeys(tb testing.TB, storage string) jose.KeySet {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(storage, "gatehouse", "*", "keyset.json"))
	if err != nil || len(files) != 1 {
		tb.Fatalf("%d key sets in the storage, %v", len(files), err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		tb.Fatal(err)
	}
	var document struct {
		Set struct {
			Keys []struct {
				Kid    string
				Alg    string
				Public map[string]string
			}
		}
	}
	if err := json.Unmarshal(content, &document); err != nil {
		tb.Fatal(err)
	}
	members := make([]any, 0, len(document.Set.Keys))
	for _, key := range document.Set.Keys {
		key.Public["kid"], key.Public["alg"] = key.Kid, key.Alg
		members = append(members, key.Public)
	}
	text, err := json.Marshal(map[string]any{"keys": members})
	if err != nil {
		tb.Fatal(err)
	}
	set, err := jose.ParseKeySet(text)
	if err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return set
}

// Minted reads a token that the gateway signed, and fails the test unless one of its
// keys did.
func Minted(tb testing.TB, storage, text string) (jose.Header, map[string]any) {
	tb.Helper()
	jws, err := jose.ParseJWS(text)
	if err != nil {
		tb.Fatal(err)
	}
	for _, key := range PublicKeys(tb, storage).Keys {
		if key.ID() == jws.Header.KeyID && jws.VerifyWith(key, jose.Algorithm(jws.Header.Algorithm)) == nil {
			return jws.Header, Claims(tb, text)
		}
	}
	tb.Fatalf("no key of the gateway's signed the token with kid %q", jws.Header.KeyID)
	return jose.Header{}, nil
}
