//go:build cluster

package cluster_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-gatehouse/gatehouse/internal/tokentest"
)

// The issuer whose tokens the nodes trust. They have its keys as a file: how keys
// are fetched is proved elsewhere.
const (
	issuerURL = "https://idp.cluster.example"
	audience  = "https://api.cluster.example"
)

// An issuer signs tokens.
type issuer struct {
	key  *tokentest.Key
	file string
	made atomic.Int64
}

func newIssuer(tb testing.TB) *issuer {
	tb.Helper()
	i := &issuer{key: tokentest.NewKey(tb, "ES256", "k1"), file: filepath.Join(tb.TempDir(), "jwks.json")}
	if err := os.WriteFile(i.file, tokentest.Set(i.key), 0o600); err != nil {
		tb.Fatal(err)
	}
	return i
}

// A held token is one in callers' hands.
type held struct {
	text         string
	jti, subject string

	// asked and acknowledged are when revoking it began and was acknowledged, in
	// nanoseconds since 1970; zero if that has not happened.
	asked, acknowledged atomic.Int64
}

// issue makes a token of a subject of its own, with changes to its claims.
func (i *issuer) issue(changes map[string]any) *held {
	number := i.made.Add(1)
	h := &held{jti: fmt.Sprintf("token-%d", number), subject: fmt.Sprintf("user-%d", number)}
	claims := tokentest.Claims(issuerURL, map[string]any{
		"aud": audience, "jti": h.jti, "sub": h.subject, "exp": time.Now().Add(time.Hour).Unix(),
	})
	maps.Copy(claims, changes)
	h.text = i.key.Sign(nil, claims)
	return h
}

func (i *issuer) issueMany(number int) []*held {
	all := make([]*held, number)
	for n := range all {
		all[n] = i.issue(nil)
	}
	return all
}
